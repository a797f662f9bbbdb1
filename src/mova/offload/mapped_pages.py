"""Weights that are looked at in their files: which tensors are, and how the memory behind them is given back.

A tensor that safetensors maps from a file costs memory only for the pages that were read, and these stay with the
process until it lets go of them. `MappedFiles.forget` lets go at once; the system may keep the pages as its cache.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import torch

_MAPS = Path("/proc/self/maps")
_SUFFIX = ".safetensors"


class MappedFiles:
    """The places in this process's memory where files of weights are mapped, as they are now."""

    def __init__(self) -> None:
        self._ranges = sorted(_read_ranges())

    def holds(self, tensor: torch.Tensor) -> bool:
        """Say whether a tensor lies in a mapped file, as a whole."""
        if tensor.device.type != "cpu" or not tensor.numel():
            return False
        start = tensor.data_ptr()
        index = bisect_right(self._ranges, (start, sys.maxsize)) - 1
        return index >= 0 and start + tensor.numel() * tensor.element_size() <= self._ranges[index][1]

    def forget(self, tensors: Iterable[torch.Tensor]) -> int:
        """Give back the memory behind tensors that lie in mapped files; reading them again reads the file again.

        They must not have been written to: what was changed would be lost.

        Returns:
            Bytes that were given back at most; 0 where the system cannot.
        """
        library = _library()
        if library is None:
            return 0
        forgotten = 0
        for tensor in tensors:
            if not self.holds(tensor):
                continue
            # Whole pages only: the rest of the first and the last may belong to another tensor.
            start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
            end = (tensor.data_ptr() + tensor.numel() * tensor.element_size()) // mmap.PAGESIZE * mmap.PAGESIZE
            advice = ctypes.c_void_p(start), ctypes.c_size_t(max(end - start, 0)), ctypes.c_int(mmap.MADV_DONTNEED)
            if end > start and library.madvise(*advice) == 0:
                forgotten += end - start
        return forgotten


def _read_ranges() -> list[tuple[int, int]]:
    if not _MAPS.is_file():
        return []
    ranges = []
    for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[5].removesuffix(" (deleted)").endswith(_SUFFIX):
            start, end = (int(number, 16) for number in parts[0].split("-"))
            ranges.append((start, end))
    # A file that was changed in places is listed in several pieces.
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _library() -> ctypes.CDLL | None:
    # Elsewhere the advice does not throw pages away, and there is no list of mappings to be sure of what they are.
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" and hasattr(mmap, "MADV_DONTNEED") else None
