"""Weights that come to the device while others compute there, before they are needed: as a whole, in the background."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import torch

from mova.kernels.streams import Streams
from mova.offload.pinned import own_pages, pin
from mova.offload.readers import Part, WeightReaders, grouped
from mova.offload.stores import Pieces

STAGING_BYTES: Final = 64 << 20
"""Bytes of each of the two host buffers through which weights go to a GPU."""


class FetchAhead:
    """Fills tensors of a device from the host: a thread reads with several others, copies go on a stream of their own.

    Either `finish` or `abandon` must be called; until then the tensors are kept.

    Args:
        parts: tensors of the device with what they are filled from; memory that the computing stream has given.
        streams: of the device; None for a CPU, where weights are read into the tensors themselves.
    """

    def __init__(self, parts: Sequence[Part], streams: Streams | None) -> None:
        self._parts, self._streams = list(parts), streams
        # What was in the memory of the targets before may still be read.
        self._free = streams.current().record_event() if streams else None
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weights ahead")
        self._future = self._thread.submit(self._fetch)

    def finish(self) -> None:
        """Wait for the weights; on a GPU later work of the stream in use waits for the last copies.

        Raises:
            CheckpointError: a file that cannot be read any more.
        """
        self._future.result()
        self._thread.shutdown()
        if self._streams:
            self._streams.current().wait_event(self._streams.side.record_event())

    def abandon(self) -> None:
        """End early; nothing is written to the tensors afterwards."""
        self._stop.set()
        # What went wrong with weights that are not wanted any more is of no interest.
        self._future.exception()
        self._thread.shutdown()
        if self._streams:
            self._streams.current().wait_event(self._streams.side.record_event())

    def _fetch(self) -> None:
        readers = WeightReaders()
        try:
            # Gradient mode belongs to a thread.
            with torch.no_grad():
                if self._streams is None:
                    for group in grouped(self._parts, STAGING_BYTES):
                        if not self._stop.is_set():
                            readers.fill(group)
                else:
                    self._send(self._streams, readers)
        finally:
            readers.close()

    def _send(self, streams: Streams, readers: WeightReaders) -> None:
        side = streams.side
        side.wait_event(self._free)
        is_gpu = any(target.is_cuda for target, _, _ in self._parts)
        # Of the last copy from each buffer.
        buffers = [_Staging(is_gpu) for _ in range(2)]
        for number, group in enumerate(grouped(self._parts, STAGING_BYTES)):
            if self._stop.is_set():
                break
            staging = buffers[number % 2]
            staged = staging.views(group)
            readers.fill((view, source, file) for view, (_, source, file) in zip(staged, group, strict=True))
            with streams.use(side):
                for view, (target, _, _) in zip(staged, group, strict=True):
                    target.copy_(view, non_blocking=True)
            staging.note_sent(side.record_event())
        for staging in buffers:
            staging.wait()


class _Staging:
    """Host memory, pinned for a GPU, that copies to the device come from."""

    def __init__(self, is_pinned: bool) -> None:
        self._is_pinned = is_pinned
        self._buffer = torch.empty(0, dtype=torch.uint8)
        self._sent: Any = None

    def note_sent(self, event: Any) -> None:
        """Note the event behind the copies out of here."""
        self._sent = event

    def views(self, group: Sequence[Part]) -> list[torch.Tensor]:
        """Return room for a group, once what was here has been copied."""
        self.wait()
        pieces = Pieces([target.shape for target, _, _ in group], [target.dtype for target, _, _ in group])
        if self._buffer.numel() < pieces.total:
            self._buffer = own_pages(max(pieces.total, STAGING_BYTES + STAGING_BYTES // 8))
            if self._is_pinned:
                pin(self._buffer)
        return pieces.views(self._buffer)

    def wait(self) -> None:
        """Wait until the last copy from here is done."""
        if self._sent is not None:
            self._sent.synchronize()
        self._sent = None
