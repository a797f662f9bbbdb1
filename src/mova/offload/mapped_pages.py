"""Weights that are looked at in their files: which tensors are, where in the file, and how memory is given back.

A tensor that safetensors maps from a file costs memory only for the pages that were read, and these stay with the
process until it lets go of them. `MappedFiles.forget` lets go at once; the system may keep the pages as its cache.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

_MAPS = Path("/proc/self/maps")
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class MappedFile:
    """A piece of a file that is mapped into memory.

    Attributes:
        start, end: addresses.
        offset: byte of the file at the first address.
        inode: number of the file; its path may have become that of another one.
        path: of the file.
    """

    start: int
    end: int
    offset: int
    inode: int
    path: str

    def precedes(self, other: MappedFile) -> bool:
        """Say whether another piece holds what comes next in the same file."""
        is_next = other.offset == self.offset + self.end - self.start
        return is_next and (self.inode, self.path) == (other.inode, other.path)

    def open(self) -> int | None:
        """Return a descriptor of the file for reading; None if its path is gone or leads to another file."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return None
        # The number of the device says nothing: layered file systems show another one here than there.
        if os.fstat(descriptor).st_ino == self.inode:
            return descriptor
        os.close(descriptor)
        return None


class MappedFiles:
    """The places in this process's memory where files of weights are mapped, as they are when this is made.

    Ask at once: what is mapped may be let go of, and other memory come to lie there. What lies in a file then stays
    there as long as the tensor does.
    """

    def __init__(self) -> None:
        self._files = sorted(_read_files(), key=lambda file: file.start)
        self._starts = [file.start for file in self._files]

    def holds(self, tensor: torch.Tensor) -> bool:
        """Say whether a tensor lies in a mapped file, as a whole."""
        return self.find(tensor) is not None

    def find(self, tensor: torch.Tensor) -> MappedFile | None:
        """Return the piece of a file that a tensor lies in, as a whole; None elsewhere."""
        if tensor.device.type != "cpu" or not tensor.numel():
            return None
        start = tensor.data_ptr()
        index = bisect_right(self._starts, start) - 1
        if index >= 0 and start + tensor.numel() * tensor.element_size() <= self._files[index].end:
            return self._files[index]
        return None

    def forget(self, tensors: Iterable[torch.Tensor]) -> int:
        """Give back the memory behind tensors that lie in mapped files; reading them again reads the file again.

        They must not have been written to: what was changed would be lost.

        Returns:
            Bytes that were given back at most; 0 where the system cannot.
        """
        return sum(give_back(tensor) for tensor in tensors if self.holds(tensor))


def give_back(mapped: torch.Tensor) -> int:
    """Give back the memory behind a tensor that is known to lie in a mapped file; see `MappedFiles.forget`."""
    library = _library()
    if library is None:
        return 0
    # Whole pages only: the rest of the first and the last may belong to another tensor.
    start = -(-mapped.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (mapped.data_ptr() + mapped.numel() * mapped.element_size()) // mmap.PAGESIZE * mmap.PAGESIZE
    advice = ctypes.c_void_p(start), ctypes.c_size_t(max(end - start, 0)), ctypes.c_int(mmap.MADV_DONTNEED)
    return end - start if end > start and library.madvise(*advice) == 0 else 0


def _read_files() -> list[MappedFile]:
    if not _MAPS.is_file():
        return []
    pieces = []
    for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        # Addresses, rights, offset in the file, device, inode, path.
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[5].removesuffix(" (deleted)").endswith(_SUFFIX):
            start, end = (int(number, 16) for number in parts[0].split("-"))
            pieces.append(MappedFile(start, end, int(parts[2], 16), int(parts[4]), parts[5]))
    # A file that was changed in places is listed in several pieces.
    joined: list[MappedFile] = []
    for piece in sorted(pieces, key=lambda piece: piece.start):
        last = joined[-1] if joined else None
        # A file may also be mapped twice, side by side.
        if last and last.end == piece.start and last.precedes(piece):
            joined[-1] = MappedFile(last.start, piece.end, last.offset, last.inode, last.path)
        else:
            joined.append(piece)
    return joined


def _library() -> ctypes.CDLL | None:
    # Elsewhere the advice does not throw pages away, and there is no list of mappings to be sure of what they are.
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" and hasattr(mmap, "MADV_DONTNEED") else None
