"""Latents that are not finite are found without letting the host wait for the device.

On a CPU every step is looked at as soon as it is done. Elsewhere each step leaves a flag: it is computed on the device,
copied to the host in the background, and read when it has arrived, while later steps are already queued. The error
names the step at which the numbers went wrong, not the one at which that was seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import torch

from mova.errors import NumericalError
from mova.types import LatentPair

_NAMES = ("video", "audio")


class Flags(Protocol):
    """Whether each modality is finite, on its way from the device."""

    def has_arrived(self) -> bool:
        """Say whether `read` would return at once."""
        ...

    def read(self) -> list[bool]:
        """Wait for the flags and return them, video first."""
        ...


class FiniteCheck:
    """Looks at the latents of one run.

    Args:
        send: starts the way of flags (2,) bool to the host; by default at once on a CPU, in the background elsewhere.
    """

    def __init__(self, send: Callable[[torch.Tensor], Flags] | None = None) -> None:
        self._send = send or send_flags
        self._pending: deque[tuple[str, Flags]] = deque()

    def note(self, latents: LatentPair, when: str) -> None:
        """Look at latents, now or as soon as their flags have arrived.

        Args:
            latents: after a step.
            when: it was, for the error.

        Raises:
            NumericalError: these latents, or earlier ones whose flags have arrived meanwhile, are not finite.
        """
        flags = torch.stack([latents.video.isfinite().all(), latents.audio.isfinite().all()])
        self._pending.append((when, self._send(flags)))
        while self._pending and self._pending[0][1].has_arrived():
            _check(*self._pending.popleft())

    def finish(self) -> None:
        """Wait for all flags.

        Raises:
            NumericalError: latents that are not finite.
        """
        while self._pending:
            _check(*self._pending.popleft())


def send_flags(flags: torch.Tensor) -> Flags:
    """Return the flags on their way to the host."""
    return _SentFlags(flags) if flags.device.type == "cuda" else _PresentFlags(flags)


class _PresentFlags:
    """On a CPU, or a device without events."""

    def __init__(self, flags: torch.Tensor) -> None:
        self._flags = flags

    def has_arrived(self) -> bool:
        return True

    def read(self) -> list[bool]:
        read: list[bool] = self._flags.tolist()
        return read


class _SentFlags:
    """From a GPU into pinned memory, with an event behind the copy."""

    def __init__(self, flags: torch.Tensor) -> None:
        self._host = torch.empty(flags.shape, dtype=flags.dtype, pin_memory=True)
        self._host.copy_(flags, non_blocking=True)
        self._event = torch.cuda.Event()
        self._event.record(torch.cuda.current_stream(flags.device))

    def has_arrived(self) -> bool:
        return bool(self._event.query())

    def read(self) -> list[bool]:
        self._event.synchronize()
        read: list[bool] = self._host.tolist()
        return read


def _check(when: str, flags: Flags) -> None:
    spoilt = [name for name, is_finite in zip(_NAMES, flags.read(), strict=True) if not is_finite]
    if spoilt:
        raise NumericalError(f"latents must stay finite, got NaN or infinity in {' and '.join(spoilt)} {when}")
