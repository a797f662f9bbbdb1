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

from mova.errors import CheckpointError
from mova.offload.mapped_pages import MappedFile, MappedFiles

Pair = tuple[torch.Tensor, torch.Tensor]
"""Where to, contiguous and on the host, and where from: as many numbers, perhaps of another dtype."""

PART_BYTES: Final = 16 << 20
"""Bytes that one thread reads at a time, at most; what has to be cast needs as much memory again."""
MAX_READERS: Final = 8


def num_readers() -> int:
    """Return how many threads read: half of the cores, as others compute, 2 to `MAX_READERS`."""
    return max(2, min(MAX_READERS, (os.cpu_count() or 1) // 2))


class WeightReaders:
    """Reads weights by several threads, until `close`.

    Args:
        num_threads: how many; by default `num_readers()`.
    """

    def __init__(self, num_threads: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(num_threads or num_readers(), thread_name_prefix="weights part")
        self._descriptors: dict[tuple[str, int], int | None] = {}
        self._opening = threading.Lock()
        self._own = threading.local()

    def fill(self, pairs: Iterable[Pair], mapped: MappedFiles) -> None:
        """Copy tensors, and return when all of it is done.

        Args:
            pairs: where to, and where from.
            mapped: files that some of them lie in.

        Raises:
            CheckpointError: a file that has become shorter, or cannot be read any more.
        """
        failed = threading.Event()
        futures = [self._threads.submit(self._copy_unless, failed, task, mapped) for task in _tasks(pairs)]
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

    def _copy_unless(self, failed: threading.Event, pairs: list[Pair], mapped: MappedFiles) -> None:
        if failed.is_set():
            return
        try:
            self._copy(pairs, mapped)
        except BaseException:
            failed.set()
            raise

    def _copy(self, pairs: list[Pair], mapped: MappedFiles) -> None:
        # Gradient mode belongs to a thread.
        with torch.no_grad():
            for target, source in pairs:
                file = mapped.find(source)
                descriptor = self._descriptor(file) if file and source.is_contiguous() else None
                if file is None or descriptor is None:
                    target.copy_(source)
                    mapped.forget([source])
                    continue
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
        buffer = getattr(self._own, "buffer", None)
        if buffer is None or buffer.numel() < size:
            self._own.buffer = buffer = torch.empty(max(size, 1 << 20), dtype=torch.uint8)
        return buffer[:size].view(like.dtype).view(like.shape)


def _tasks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Group and cut tensors into what one thread does at a time, in their order."""
    task: list[Pair] = []
    size = 0
    for target, source in pairs:
        for part in _parts(target, source):
            part_bytes = part[1].numel() * part[1].element_size()
            if task and size + part_bytes > PART_BYTES:
                yield task
                task, size = [], 0
            task.append(part)
            size += part_bytes
    if task:
        yield task


def _parts(target: torch.Tensor, source: torch.Tensor) -> Iterator[Pair]:
    if not (source.is_contiguous() and source.numel() * source.element_size() > PART_BYTES):
        yield target, source
        return
    length = PART_BYTES // source.element_size()
    yield from zip(target.view(-1).split(length), source.view(-1).split(length), strict=True)


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
