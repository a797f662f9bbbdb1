"""Sizes of a clip in pixels, frames and samples, and of its latents and tokens. The only place with strides.

Frame count and sample count are the contract; seconds follow from them (193 frames at 24 fps are 386,000 samples at
48 kHz, 49 x 44 x 80 video latents at 352x640 and 403 audio latents: MOVA release, section 1.8 of the fact sheet).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from mova.errors import GeometryError

MAX_SIDE = 16_384
"""Largest height and width in pixels: twelve times that of the largest published model."""
MAX_FRAMES = 100_001
"""More than an hour at 24 frames per second."""
FRAME_RATES = (0.1, 1000.0)
"""Least and largest number of frames per second."""


def nearest_multiples(value: int, step: int) -> tuple[int, int]:
    """Return the multiples of `step` below and above `value`, both at least `step`."""
    below = max(step, value // step * step)
    return below, max(below, -(-value // step) * step)


@dataclass(frozen=True)
class CodecGeometry:
    """Strides and rates of a pair of autoencoders and of the video tower's patches.

    Attributes:
        spatial_stride: pixels per latent cell, both directions.
        temporal_stride: frames per latent frame after the first, which stands alone.
        patch_size: latent cells per video token (time, height, width).
        sample_rate: of the sound, in Hz.
        hop_length: samples per audio latent step.
        video_channels: channels of a video latent.
        audio_channels: channels of an audio latent.
    """

    spatial_stride: int = 8
    temporal_stride: int = 4
    patch_size: tuple[int, int, int] = (1, 2, 2)
    sample_rate: int = 48_000
    hop_length: int = 960
    video_channels: int = 16
    audio_channels: int = 128

    @property
    def size_multiple(self) -> tuple[int, int]:
        """Pixels that height and width must be a multiple of."""
        return self.spatial_stride * self.patch_size[1], self.spatial_stride * self.patch_size[2]

    @property
    def audio_latent_rate(self) -> float:
        """Audio latent steps per second."""
        return self.sample_rate / self.hop_length

    def video_latent_rate(self, frame_rate: float) -> float:
        """Video latent frames per second."""
        return frame_rate / self.temporal_stride


@dataclass(frozen=True)
class ClipGeometry:
    """One clip: size, length and rate, and everything that follows from them.

    Args:
        height, width: in pixels.
        num_frames: 1 plus a multiple of the temporal stride.
        frame_rate: frames per second.
        codec: strides of the autoencoders.

    Raises:
        GeometryError: a size or length that the autoencoders cannot represent; the text names the nearest valid ones.
    """

    height: int
    width: int
    num_frames: int
    frame_rate: float = 24.0
    codec: CodecGeometry = field(default_factory=CodecGeometry)

    def __post_init__(self) -> None:
        for name, value, step in zip(
            ("height", "width"), (self.height, self.width), self.codec.size_multiple, strict=True
        ):
            if value > MAX_SIDE:
                nearest = max(step, MAX_SIDE // step * step)
                raise GeometryError(f"{name} must be at most {MAX_SIDE} pixels, got {value}; nearest is {nearest}")
            if value < step or value % step:
                raise GeometryError(_multiple_text(name, value, step))
        self._check_length()

    def _check_length(self) -> None:
        stride = self.codec.temporal_stride
        if self.num_frames > MAX_FRAMES:
            longest = (MAX_FRAMES - 1) // stride * stride + 1
            raise GeometryError(f"frames must be at most {MAX_FRAMES}, got {self.num_frames}; nearest is {longest}")
        if self.num_frames < 1 or (self.num_frames - 1) % stride:
            below = max(1, (self.num_frames - 1) // stride * stride + 1)
            nearest = f"nearest is {below}" if self.num_frames < 1 else f"nearest are {below} and {below + stride}"
            raise GeometryError(f"frames must be 1 plus a multiple of {stride}, got {self.num_frames}; {nearest}")
        if not (math.isfinite(self.frame_rate) and self.frame_rate > 0):
            raise GeometryError(f"frame rate must be a positive number of frames per second, got {self.frame_rate}")
        low, high = FRAME_RATES
        if not low <= self.frame_rate <= high:
            nearest = f"nearest is {low if self.frame_rate < low else high:g}"
            raise GeometryError(
                f"frame rate must be {low:g} to {high:g} frames per second, got {self.frame_rate:g}; {nearest}"
            )

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_frames / self.frame_rate

    @property
    def num_latent_frames(self) -> int:
        """T: the first frame alone, then one latent per `temporal_stride` frames."""
        return (self.num_frames - 1) // self.codec.temporal_stride + 1

    @property
    def latent_height(self) -> int:
        """h."""
        return self.height // self.codec.spatial_stride

    @property
    def latent_width(self) -> int:
        """w."""
        return self.width // self.codec.spatial_stride

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """Video tokens along time, height and width."""
        patch_t, patch_h, patch_w = self.codec.patch_size
        return self.num_latent_frames // patch_t, self.latent_height // patch_h, self.latent_width // patch_w

    @property
    def num_video_tokens(self) -> int:
        """V."""
        return math.prod(self.token_grid)

    @property
    def num_samples(self) -> int:
        """S: samples of the sound track, rounded down."""
        return num_samples(self.num_frames, self.frame_rate, self.codec.sample_rate)

    @property
    def num_audio_latents(self) -> int:
        """A: audio latent steps (= audio tokens), the last one padded."""
        return -(-self.num_samples // self.codec.hop_length)

    @property
    def video_latent_shape(self) -> tuple[int, int, int, int]:
        """(C, T, h, w)."""
        return self.codec.video_channels, self.num_latent_frames, self.latent_height, self.latent_width

    @property
    def audio_latent_shape(self) -> tuple[int, int]:
        """(C, A)."""
        return self.codec.audio_channels, self.num_audio_latents


def num_samples(num_frames: int, frame_rate: float, sample_rate: int) -> int:
    """Return the samples that `num_frames` last, rounded down, without floating-point surprises."""
    return int(num_frames * sample_rate / Fraction(frame_rate).limit_denominator(1_000_000))


def _multiple_text(name: str, value: int, step: int) -> str:
    below, above = nearest_multiples(value, step)
    nearest = f"nearest is {below}" if below == above else f"nearest are {below} and {above}"
    return f"{name} must be a positive multiple of {step}, got {value}; {nearest}"
