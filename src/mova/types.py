"""Records that cross folder borders. Shapes are checked where a record is made; letters as in ARCHITECTURE.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mova.errors import GeometryError

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Clip:
    """A short video in memory: frames and the audio of exactly the same time span.

    Attributes:
        frames: (F, H, W, 3) uint8, RGB.
        waveform: (channels, S) float32 in [-1, 1], or None where there is no audio.
        frame_rate: frames per second.
        sample_rate: samples per second of `waveform`, in Hz.
    """

    frames: np.ndarray
    waveform: np.ndarray | None
    frame_rate: float
    sample_rate: int

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3:
            raise GeometryError(f"frames must be (F, H, W, 3), got {tuple(self.frames.shape)}")
        if self.waveform is not None and self.waveform.ndim != 2:
            raise GeometryError(f"waveform must be (channels, S), got {tuple(self.waveform.shape)}")

    @property
    def duration_s(self) -> float:
        """Length of the video in seconds."""
        return len(self.frames) / self.frame_rate


@dataclass(frozen=True)
class LatentPair:
    """The latents of both modalities, always together.

    Attributes:
        video: (B, C, T, h, w).
        audio: (B, C, A).
    """

    video: torch.Tensor
    audio: torch.Tensor

    def __post_init__(self) -> None:
        if self.video.ndim != 5:
            raise GeometryError(f"video latents must be (B, C, T, h, w), got {tuple(self.video.shape)}")
        if self.audio.ndim != 3:
            raise GeometryError(f"audio latents must be (B, C, A), got {tuple(self.audio.shape)}")
        if self.video.shape[0] != self.audio.shape[0]:
            raise GeometryError(
                f"both modalities need the same batch size, got {self.video.shape[0]} and {self.audio.shape[0]}"
            )


class Velocities(LatentPair):
    """What the joint model predicts for both modalities: noise minus clean (shapes as the latents)."""
