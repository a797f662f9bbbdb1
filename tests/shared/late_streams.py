"""Streams of a device with late copies: what is queued beside the computing stream happens when it is waited for.

Whoever reads a copy before the stream in use has waited for it reads what was there before.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class LateEvent:
    """A mark behind what had been queued on a stream when it was made."""

    def __init__(self, stream: LateStream) -> None:
        self.stream, self.number = stream, stream.num_queued

    def synchronize(self) -> None:
        self.stream.run(self.number)


class LateStream:
    """A queue of copies.

    Attributes:
        queued: copies to be done, in their order.
        done, num_queued: copies that were done, and that were queued, since the beginning.
    """

    def __init__(self) -> None:
        self.queued: list[Any] = []
        self.done = self.num_queued = 0
        self._turn = threading.RLock()

    def record_event(self) -> LateEvent:
        return LateEvent(self)

    def wait_event(self, event: LateEvent) -> None:
        if event.stream is not self:
            event.synchronize()

    def run(self, number: int) -> None:
        """Do what was queued, up to a number of copies since the beginning."""
        with self._turn:
            while self.done < number:
                self.queued.pop(0)()
                self.done += 1


class LateStreams:
    """A computing stream that does everything at once, and one beside it that is late.

    Attributes:
        main, side: streams.
        freed: shapes of copies of which one end was freed before they were done.
    """

    def __init__(self) -> None:
        self.main, self.side = LateStream(), LateStream()
        self.freed: list[tuple[int, ...]] = []
        # Which stream is in use belongs to a thread.
        self._now = threading.local()

    def current(self) -> LateStream:
        stream: LateStream = getattr(self._now, "stream", self.main)
        return stream

    @contextlib.contextmanager
    def use(self, stream: LateStream) -> Iterator[None]:
        before, self._now.stream = self.current(), stream
        try:
            with _Queued(stream, self.freed):
                yield
        finally:
            self._now.stream = before


class _Queued(TorchFunctionMode):
    """Puts copies into a queue; what they read and write must still exist when they are done."""

    def __init__(self, stream: LateStream, freed: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.stream, self.freed = stream, freed

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not torch.Tensor.copy_:
            return function(*args, **(kwargs or {}))
        target, source = (_Alive(one) for one in args[:2])

        def copy() -> None:
            to, of = target.tensor(), source.tensor()
            if to is None or of is None:
                self.freed.append(target.shape)
            else:
                to.copy_(of)

        self.stream.queued.append(copy)
        self.stream.num_queued += 1
        return args[0]


class _Alive:
    """A tensor without keeping it: None once its memory is gone."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._storage = weakref.ref(tensor.untyped_storage())
        self._shown = tensor.dtype, tensor.storage_offset(), tensor.shape, tensor.stride()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._shown[2])

    def tensor(self) -> torch.Tensor | None:
        storage = self._storage()
        if storage is None:
            return None
        dtype, offset, shape, stride = self._shown
        return torch.empty(0, dtype=dtype).set_(storage, offset, shape, stride)
