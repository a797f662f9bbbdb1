"""Asks a worker for one row after the other while there is time, keeps what it says, and starts it anew if it dies."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu.ledger import FAILED, MISSING, NO_TIME, Ledger
from gpu.needs import lacking
from gpu.rows import FORWARD_S, Row

# A row that takes so many times what was expected, and at least so long, hangs.
PATIENCE, PATIENCE_S, START_S = 3.0, 120.0, 180.0
# What the last row may take beyond the time: it was expected to fit.
GRACE_S = 5.0
LAST_LINES = 15


class Worker:
    """The process that measures.

    Args:
        command: that starts it.
        log: file that takes its stderr.
        environment: of the process.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.command, self.log, self.environment = list(command), log, environment
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> dict[str, Any]:
        """Start it and return what it says of the machine."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            pipe = subprocess.PIPE
            # A group of its own, so that what it starts ends with it.
            self.process = subprocess.Popen(
                self.command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=self.environment, process_group=0
            )
        return self._hear(START_S)

    def ask(self, row: str, figures: dict[str, Any], patience_s: float) -> dict[str, Any]:
        """Let it measure a row; if it dies or takes too long, that is the result."""
        try:
            if self.process is None:
                said = self.start()
                if "lacks" in said:
                    return {"state": MISSING, "error": [said["lacks"]]}
            assert self.process is not None
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps({"row": row, "figures": figures}) + "\n")
            self.process.stdin.flush()
            answer = self._hear(patience_s)
            if not answer.pop("well", True):
                self.stop()
            return answer
        except (EOFError, BrokenPipeError, TimeoutError) as problem:
            self.stop()
            return {"state": FAILED, "error": [str(problem), *self.last_lines()]}

    def stop(self) -> None:
        """End it and everything that it started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close() if pipe else None
        self.process.wait()
        self.process = None

    def last_lines(self) -> list[str]:
        """Return the end of what it wrote to stderr."""
        return self.log.read_text(errors="replace").splitlines()[-LAST_LINES:] if self.log.is_file() else []

    def _hear(self, patience_s: float) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(max(patience_s, 1.0)):
                raise TimeoutError(f"stopped after {patience_s:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise EOFError(f"the process of the measurement ended with {code}")
        heard: dict[str, Any] = json.loads(line)
        return heard


def go(
    rows: Sequence[Row],
    ledger: Ledger,
    worker: Worker,
    *,
    deadline: float,
    device: str,
    commit: str,
    again: Sequence[str],
    after: Callable[[Row], None],
) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Measure rows that are not in the ledger yet, most valuable first, as long as they are expected to fit.

    Args:
        rows: chosen ones.
        ledger: what is known, which grows.
        worker: that measures.
        deadline: moment of `time.monotonic` by which all is to be done.
        device: "cuda" or "cpu".
        commit: of the code that is measured.
        again: names of rows that are measured though they were.
        after: called once a row has been kept.

    Yields:
        Each row and what came of it.
    """
    for row in rows:
        if ledger.has(row.name) and row.name not in again and row.name[0] not in again:
            yield row, {"state": "kept"}
            continue
        figures = ledger.figures()
        expected = row.seconds(figures.get("b.forward", {}).get("seconds", FORWARD_S))
        expected = expected if ledger.sizes == "full" else 0.0
        left = deadline - time.monotonic()
        lacks = lacking(row, device)
        if lacks:
            found = {"state": MISSING, "error": lacks}
        elif left <= expected:
            found = {"state": NO_TIME, "error": [f"about {expected:.0f} s expected, {max(left, 0):.0f} s left"]}
        else:
            found = worker.ask(row.name, figures, min(max(PATIENCE * expected, PATIENCE_S), left + GRACE_S))
        stamp = {"commit": commit, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        ledger.put(row.name, found | stamp)
        after(row)
        yield row, found


def worker_command(script: Path, sizes: str, device: str, rounds: int) -> list[str]:
    """Return the command of a worker."""
    options = ["--worker", "--sizes", sizes, "--device", device, "--rounds", str(rounds)]
    return [sys.executable, str(script), *options]
