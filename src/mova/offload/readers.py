"""Several threads that read weights into host memory, each a part: from their files, or from wherever they lie.

One thread that touches mapped pages is slower than a disk and than memory: pages are asked for one by one. Here every
thread asks the file for megabytes at a time, and a file that has become shorter is an error, not a signal.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

import torch

from mova.cores import num_cores
from mova.errors import CheckpointError
from mova.offload.mapped_pages import MappedFile, give_back

Part = tuple[torch.Tensor, torch.Tensor, MappedFile | None]
"""Where to; where from, as many numbers, perhaps of another dtype; the file that the latter lies in, if any."""

PART_BYTES: Final = 16 << 20
"""Bytes that one thread reads at a time, at most; what has to be cast needs as much memory again."""
MAX_READERS: Final = 8


def num_readers() -> int:
    """Return how many threads read: half of the cores, as others compute, 2 to `MAX_READERS`."""
    return max(2, min(MAX_READERS, num_cores() // 2))


class WeightReaders:
    """Reads weights by several threads, until `close`.

    Args:
        num_threads: how many; by default `num_readers()`.
    """

    def __init__(self, num_threads: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(num_threads or num_readers(), thread_name_prefix="weights part")
        self._descriptors: dict[tuple[str, int], int | None] = {}
        self._opening = threading.Lock()
        # By thread.
        self._scratches: dict[int, torch.Tensor] = {}

    def fill(self, parts: Iterable[Part]) -> None:
        """Copy tensors, and return when all of it is done.

        Raises:
            CheckpointError: a file that has become shorter, or cannot be read any more.
        """
        failed = threading.Event()
        futures = [self._threads.submit(self._copy_unless, failed, task) for task in grouped(parts, PART_BYTES)]
        try:
            for future in futures:
                future.result()
        finally:
            # After an error, or an interrupt of the caller: what has not begun is left out, and nobody writes any more.
            failed.set()
            wait(futures)

    def close(self) -> None:
        """End the threads and close the files."""
        self._threads.shutdown(cancel_futures=True)
        for descriptor in self._descriptors.values():
            if descriptor is not None:
                os.close(descriptor)
        self._descriptors.clear()

    def _copy_unless(self, failed: threading.Event, parts: list[Part]) -> None:
        if failed.is_set():
            return
        try:
            # Gradient mode belongs to a thread.
            with torch.no_grad():
                for part in parts:
                    self._copy(*part)
        except BaseException:
            failed.set()
            raise

    def _copy(self, target: torch.Tensor, source: torch.Tensor, file: MappedFile | None) -> None:
        descriptor = self._descriptor(file) if file and source.is_contiguous() else None
        if file is None or descriptor is None:
            target.copy_(source)
            if file:
                give_back(source)
            return
        raw = target if target.dtype == source.dtype else self._scratch(source)
        _read(descriptor, _bytes(raw), file.offset + source.data_ptr() - file.start, file.path)
        if raw is not target:
            target.copy_(raw)

    def _descriptor(self, file: MappedFile) -> int | None:
        key = file.path, file.inode
        with self._opening:
            if key not in self._descriptors:
                self._descriptors[key] = file.open()
            return self._descriptors[key]

    def _scratch(self, like: torch.Tensor) -> torch.Tensor:
        """Return memory of this thread, for what has another dtype in its file."""
        size = like.numel() * like.element_size()
        buffer = self._scratches.get(threading.get_ident())
        if buffer is None or buffer.numel() < size:
            buffer = self._scratches[threading.get_ident()] = torch.empty(max(size, 1 << 20), dtype=torch.uint8)
        return buffer[:size].view(like.dtype).view(like.shape)


def grouped(parts: Iterable[Part], most_bytes: int) -> Iterator[list[Part]]:
    """Cut and group tensors, in their order, into lists of so many bytes at most; what is strided stays whole."""
    group: list[Part] = []
    size = 0
    for whole in parts:
        for part in _cut(*whole, most_bytes):
            if group and size + _size(part) > most_bytes:
                yield group
                group, size = [], 0
            group.append(part)
            size += _size(part)
    if group:
        yield group


def _size(part: Part) -> int:
    """Return the bytes of a part where it takes more: as it is stored, or as it is wanted."""
    return part[1].numel() * max(part[0].element_size(), part[1].element_size())


def _cut(target: torch.Tensor, source: torch.Tensor, file: MappedFile | None, most_bytes: int) -> Iterator[Part]:
    whole = target, source, file
    if _size(whole) <= most_bytes or not (source.is_contiguous() and target.is_contiguous()):
        yield whole
        return
    length = most_bytes // max(target.element_size(), source.element_size())
    for to, of in zip(target.view(-1).split(length), source.view(-1).split(length), strict=True):
        yield to, of, file


def _bytes(tensor: torch.Tensor) -> memoryview:
    return tensor.view(-1).view(torch.uint8).numpy().data


def _read(descriptor: int, into: memoryview, offset: int, path: str) -> None:
    """Read as many bytes as there is room for."""
    while into:
        try:
            count = os.preadv(descriptor, [into], offset)
        except OSError as error:
            raise CheckpointError(f"{path} must stay readable while a model uses it, got: {error}") from error
        if count == 0:
            raise CheckpointError(
                f"{path} must stay as it is while a model uses it, got a file that ends {len(into)} bytes too early"
            )
        into, offset = into[count:], offset + count
