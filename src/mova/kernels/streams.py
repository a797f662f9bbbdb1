"""The queues of work of a device: the one that computes, and one beside it; tests put streams of their own here."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import torch


class Stream(Protocol):
    """A queue of work, such as `torch.cuda.Stream`."""

    def record_event(self) -> Any:
        """Return a mark behind all that has been queued."""

    def wait_event(self, event: Any) -> None:
        """Let later work wait for a mark of another stream."""


class Streams(Protocol):
    """The streams of a device.

    Attributes:
        side: the one beside that in use.
    """

    side: Stream

    def current(self) -> Stream:
        """Return the stream in use."""

    def use(self, stream: Stream) -> contextlib.AbstractContextManager[object]:
        """Queue on a stream inside."""

    def keep(self, tensor: torch.Tensor, stream: Stream) -> None:
        """Keep the memory of a tensor of another stream until a stream has read it."""


class CudaStreams:
    """Those of a GPU.

    Args:
        device: that computes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.side: Any = torch.cuda.Stream(device)

    def current(self) -> Any:
        """See `Streams`."""
        return torch.cuda.current_stream(self.device)

    def use(self, stream: Any) -> contextlib.AbstractContextManager[object]:
        """See `Streams`."""
        return torch.cuda.stream(stream)

    def keep(self, tensor: torch.Tensor, stream: Any) -> None:
        """See `Streams`."""
        tensor.record_stream(stream)


def streams_of(device: torch.device) -> Streams | None:
    """Return streams of a GPU, made anew; None for a CPU, which has no queues."""
    return CudaStreams(device) if device.type == "cuda" else None
