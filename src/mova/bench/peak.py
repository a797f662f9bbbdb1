"""The most memory that a process has held, and nobody before it.

`getrusage` also counts what the process held that started it: the kernel keeps its peak across exec. Linux tells the
peak of the program itself in /proc, as long as it runs; elsewhere `getrusage` has to do.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.02


def peak_bytes() -> int:
    """Return the peak of this process's resident memory in bytes."""
    found = peak_of(os.getpid())
    return _counted(own=True) if found is None else found


def peak_of(pid: int) -> int | None:
    """Return the peak of another process's resident memory in bytes; None where it has ended, or nothing tells it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


@dataclass
class Peak:
    """What processes have held.

    Attributes:
        of: last known peak of each process by its id, in bytes. A process that has not begun its program yet still
            shows the memory of the one that started it, so that the last value counts and not the largest.
    """

    of: dict[int, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The largest of them; where nothing told, what `getrusage` has of all children so far."""
        return max(self.of.values(), default=0) or _counted(own=False)

    def look(self, pids: Iterable[int]) -> None:
        """Note the peaks of now."""
        for pid in pids:
            found = peak_of(pid)
            if found is not None:
                self.of[pid] = found


@contextmanager
def watched(pids: Callable[[], Iterable[int]], every_s: float = _LOOK_S) -> Iterator[Peak]:
    """Watch the peak memory of other processes in the block; what grows in the last moment of one is not seen.

    Args:
        pids: gives the processes of a moment.
        every_s: seconds between looks.
    """
    peak, is_over = Peak(), threading.Event()

    def watch() -> None:
        while True:
            peak.look(pids())
            if is_over.wait(every_s):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        is_over.set()
        watcher.join()


def _counted(*, own: bool) -> int:
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF if own else resource.RUSAGE_CHILDREN)
    # Linux counts in KiB, macOS in bytes.
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
