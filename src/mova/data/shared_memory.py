"""Memory that several processes see: clips go from the processes that decode them without being sent through pipes."""

from __future__ import annotations

import mmap
import os
from multiprocessing import reduction
from typing import Any, Self

import numpy as np


class SharedBlocks:
    """Equal blocks of memory without a name, so that nothing of them is left behind, however a process ends.

    Can be given to a process that is being started, and to no other. A container's limit on shared memory with names
    (64 MB where nobody raised it) does not count for it.

    Args:
        count: number of blocks.
        size: bytes of each.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._file = os.memfd_create("mova-clips")
        os.ftruncate(self._file, count * size)
        self._memory = mmap.mmap(self._file, count * size)

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return one block that holds some bytes."""
        blocks = cls(1, len(content))
        blocks.block(0)[:] = np.frombuffer(content, np.uint8)
        return blocks

    @staticmethod
    def is_available() -> bool:
        """Say whether this operating system has such memory; Linux has."""
        return hasattr(os, "memfd_create")

    def block(self, number: int) -> np.ndarray:
        """Return a block as (size,) uint8; what is written to it, the other processes see."""
        return np.frombuffer(self._memory, np.uint8, self.size, number * self.size)

    def close(self) -> None:
        """Give back the file; the memory goes when no array of it is left."""
        os.close(self._file)

    def __getstate__(self) -> dict[str, Any]:
        return {"count": self.count, "size": self.size, "file": reduction.DupFd(self._file)}  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.count, self.size, self._file = state["count"], state["size"], state["file"].detach()
        self._memory = mmap.mmap(self._file, self.count * self.size)
