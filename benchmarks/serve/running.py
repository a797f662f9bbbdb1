"""A server in a process of its own, that may be killed and started again on the same data and port."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2
import psutil

from mova.cores import num_cores
from mova.serve.worker.process import STAND_IN

PROMPT = "A small red ball falls from low down onto a wooden floor and bounces in front of a pale pink wall."
SERVER = """
import json, sys
sys.path[:] = {path!r}
from mova.serve.run import serve
from mova.serve.settings import load_settings
settings = load_settings(None, json.loads(sys.argv[1]))
serve(settings, lambda address: print(address, flush=True), generator={generator!r}, options=json.loads(sys.argv[2]))
"""
WORKER, DECODER = "mova.serve.worker.process", "mova.files.guarded"


class Running:
    """A server and what it starts.

    Args:
        folder: of its data.
        generator: `module:function` of what makes the clips.
        options: of the generator.
        settings: of the server, beside folder and port.
    """

    def __init__(
        self, folder: Path, generator: str = STAND_IN, options: Mapping[str, object] | None = None, **settings: object
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.data = folder / "data"
        self.address = f"http://127.0.0.1:{self.port}/"
        self._settings = {"data": str(self.data), "port": self.port, "model": "mova-tiny", **settings}
        self._generator, self._options = generator, dict(options or {})
        self._seen: dict[int, psutil.Process] = {}
        self.start()

    def start(self) -> None:
        """Start it; returns once it takes connections."""
        code = SERVER.format(path=sys.path, generator=self._generator)
        command = [sys.executable, "-c", code, json.dumps(self._settings), json.dumps(self._options)]
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with (self.data.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError("the server did not start")

    def wait_ready(self, most_s: float = 120.0) -> None:
        """Wait until its worker has its model."""
        until_s = time.monotonic() + most_s
        while time.monotonic() < until_s:
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(f"{self.address}ready").status_code == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError("no worker became ready")

    def parts(self, what: str) -> list[psutil.Process]:
        """Return its processes of one kind, `WORKER` or `DECODER`."""
        found = []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._seen[child.pid] = child
                with contextlib.suppress(psutil.Error):
                    if any(what in word for word in child.cmdline()):
                        found.append(child)
        return found

    def kill(self) -> None:
        """Kill the server alone."""
        self.parts("")
        self.process.kill()
        self._wait()

    def stop(self) -> float:
        """Let it end; return after how many seconds it had."""
        begun_s = time.monotonic()
        self.parts("")
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self._wait()
            for child in self._seen.values():
                with contextlib.suppress(psutil.Error):
                    child.kill()
        return time.monotonic() - begun_s

    def _wait(self) -> None:
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return milliseconds of seconds."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    figures = {"median": statistics.median(values), "p95": cuts[94], "p99": cuts[98], "most": max(values)}
    return {name: round(1000 * value, 1) for name, value in figures.items()} | {"calls": len(values)}


def circumstances() -> dict[str, object]:
    """Return the cores, and how busy they are."""
    return {"cores": num_cores(), "load": round(os.getloadavg()[0], 1)}
