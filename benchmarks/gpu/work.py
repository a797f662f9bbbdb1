"""The process that measures: it is told one row after the other, and keeps random weights from row to row.

Lines of JSON come on stdin, `{"row": name, "figures": {...}}`, and go to the stdout that it was started with; whatever
else is printed goes to stderr.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from gpu.ledger import FAILED, MEASURED, MISSING
from gpu.rows import BY_NAME
from mova.bench.machine import describe_machine
from mova.errors import MissingExtraError

GB = 1e9
TERA = 1e12
MOST_LINES = 12


class MissingError(Exception):
    """Something that a row needs is not there; the text says what."""


@dataclass
class Work:
    """What the rows share.

    Attributes:
        sizes: "full" or "small".
        device: device that computes.
        rounds: measured calls, after one that does not count.
        folder: for files that are written.
        figures: of rows measured before, by name.
        before_bytes: of memory in use when its peak was forgotten.
        has_compiler: whether something was compiled.
        references: velocities that others are compared with, by layers and shape.
    """

    sizes: str
    device: torch.device
    rounds: int
    folder: Path
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    before_bytes: int = 0
    has_compiler: bool = False
    references: dict[tuple[int, ...], torch.Tensor] = field(default_factory=dict)
    _kept: dict[str, Any] = field(default_factory=dict)

    @property
    def is_gpu(self) -> bool:
        """Whether a GPU computes."""
        return self.device.type == "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of towers and bridge."""
        return torch.bfloat16 if self.is_gpu else torch.float32

    def keep(self, name: str, make: Callable[[], Any], *, beside: tuple[str, ...] = ()) -> Any:
        """Return what was made under a name, or make it; others than those named in `beside` are let go of first."""
        for other in [key for key in self._kept if key != name and key not in beside]:
            del self._kept[other]
        if name not in self._kept:
            self.free()
            self._kept[name] = make()
        return self._kept[name]

    def release(self) -> None:
        """Let go of everything that is kept."""
        self._kept.clear()
        self.free()

    def free(self) -> None:
        """Give unused memory back to the device."""
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()

    def now(self) -> float:
        """Return the moment at which the device has done all that it was asked for."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def times(self, call: Callable[[], object], rounds: int | None = None) -> list[float]:
        """Return the seconds of the first call and of those after it, which count."""
        found = []
        for _ in range(1 + (self.rounds if rounds is None else rounds)):
            start = self.now()
            call()
            found.append(self.now() - start)
        return found

    def start_peak(self) -> None:
        """Forget the most memory that was in use so far."""
        if self.is_gpu:
            self.before_bytes = torch.cuda.memory_allocated(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self, weight_bytes: int | None = None) -> dict[str, float]:
        """Return the most memory in use since then, in GB; nothing on a CPU.

        Args:
            weight_bytes: weights of what was called, instead of all that was there before.
        """
        if not self.is_gpu:
            return {}
        most = torch.cuda.max_memory_allocated(self.device)
        most += 0 if weight_bytes is None else weight_bytes - self.before_bytes
        return {"peak GB": round(most / GB, 2)}


def attempt(work: Work, name: str) -> dict[str, Any]:
    """Measure a row; whatever goes wrong is its result."""
    start = time.perf_counter()
    row: dict[str, Any]
    try:
        row = {"state": MEASURED, "figures": BY_NAME[name].run(work)}
    except (MissingError, MissingExtraError, ModuleNotFoundError) as problem:
        row = {"state": MISSING, "error": [str(problem)]}
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt | SystemExit):
            raise
        row = {"state": FAILED, "error": lines_of(problem)}
        # Its frames hold what it had computed.
        traceback.clear_frames(problem.__traceback__)
    if row["state"] != MEASURED:
        work.release()
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def lines_of(problem: BaseException) -> list[str]:
    """Return the first lines of an error, and where it was raised."""
    text = f"{type(problem).__name__}: {problem}".splitlines()
    frames = traceback.extract_tb(problem.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-3:]]
    return [*text[:MOST_LINES], "at " + ", ".join(where)]


def is_well(work: Work) -> bool:
    """Say whether the device still computes: some errors end the whole process's use of it."""
    try:
        torch.ones(8, device=work.device).sum().item()
    except RuntimeError:
        return False
    return True


def serve(sizes: str, device_name: str, rounds: int) -> None:
    """Say what is here, then measure what is asked for until nothing more is."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if device_name == "cuda" and not torch.cuda.is_available():
        channel.write(json.dumps({"lacks": f"torch {torch.__version__} finds no GPU"}) + "\n")
        return
    device = torch.device(device_name)
    said = {"machine": asdict(describe_machine(device)), "free GB": {}}
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        said["free GB"] = {"GPU": round(free / GB, 1), "of": round(total / GB, 1)}
    channel.write(json.dumps(said) + "\n")
    with tempfile.TemporaryDirectory(prefix="mova-gpu-") as folder:
        work = Work(sizes, device, rounds, Path(folder))
        for line in sys.stdin:
            asked = json.loads(line)
            work.figures = asked["figures"]
            with torch.no_grad():
                row = attempt(work, asked["row"])
            well = is_well(work)
            channel.write(json.dumps(row | {"well": well}) + "\n")
            if not well:
                # Nothing can be freed any more; a new process goes on.
                os._exit(1)
