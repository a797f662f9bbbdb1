"""What every source of clips gives: entries that are known before anything is decoded, and the clips themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Split = Literal["train", "validation"]


@dataclass(frozen=True)
class ClipEntry:
    """One span of one clip.

    Attributes:
        key: its name in messages, unique in the source.
        content: what is drawn at random for the clip follows from it: a hash of a file's bytes, the name of a scene.
        identity: hash of the content, the span and everything that shapes the pixels and samples.
        caption: what the text encoder reads.
        reading: version of what turns the content into pixels, where there has been another; no part of the identity,
            so that a run may go on with clips that are read better now.
        bucket: index of its size in the source's `sizes`.
        start_s: where the span begins, in seconds.
        has_video, has_audio: whether there is video, audio.
    """

    key: str
    content: str
    identity: str
    caption: str
    reading: int = 0
    bucket: int = 0
    start_s: float = 0.0
    has_video: bool = True
    has_audio: bool = True


@dataclass(frozen=True)
class RawClip:
    """Pixels and samples of an entry, always of the full length.

    Attributes:
        frames: (F, H, W, 3) uint8; the last frame is repeated past the clip's end; grey without video.
        waveform: (1, S) float32 in [-1, 1]; silence past the end, or without audio.
        own_frames: how many of them are the clip's own; 0 where it has no video.
        own_samples: (first, end) samples that are the clip's own, in order and apart; none where it has no audio.
    """

    frames: np.ndarray
    waveform: np.ndarray
    own_frames: int
    own_samples: tuple[tuple[int, int], ...]


class ClipSource(Protocol):
    """A split of a data set. It can be sent to another process.

    Attributes:
        entries: in a fixed order.
        sizes: (height, width) in pixels of each bucket.
        num_frames: F.
        frame_rate: frames per second.
        sample_rate: sample rate of the waveforms in Hz.
    """

    @property
    def entries(self) -> Sequence[ClipEntry]:
        """See above."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """See above."""

    num_frames: int
    frame_rate: float
    sample_rate: int

    def load(self, index: int, start_s: float | None = None) -> RawClip:
        """Return the pixels and samples of an entry.

        Args:
            index: index of the entry.
            start_s: another beginning than the entry's, where the source knows spans.

        Raises:
            ReadError: the file cannot be used.
        """

    def random_start(self, index: int, draw: float) -> float:
        """Return the beginning of another span of the same clip, for a draw in [0, 1)."""


def digest(*parts: object) -> str:
    """Return the SHA-256 of some values, in hexadecimal."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()


def fraction(*parts: object) -> float:
    """Return a number in [0, 1) that follows from some values and looks random."""
    return int(digest(*parts)[:13], 16) / 16**13
