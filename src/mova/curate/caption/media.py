"""What models are shown of a clip: a few frames as images, the audio as a small WAV file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mova.endpoints.messages import Audio, Image
from mova.scorers.clip_media import ClipMedia

SAMPLE_RATE: Final = 16_000
# Below what 16 bits can hold.
_SILENCE: Final = 1e-4


@dataclass(frozen=True)
class Shown:
    """What is sent of a clip.

    Attributes:
        images: in order of time.
        times_s: of each image, in seconds.
        audio: None where there is none, or nothing but silence in it.
        duration_s: length of the clip.
    """

    images: tuple[Image, ...]
    times_s: tuple[float, ...]
    audio: Audio | None
    duration_s: float


def show(path: Path, *, frames: int, short_side: int) -> Shown:
    """Return what is sent of a clip.

    Args:
        path: of its file.
        frames: how many; fewer where the clip has fewer.
        short_side: pixels of a frame's shorter side at most.

    Raises:
        ReadError: the file cannot be read.
    """
    media = ClipMedia(path)
    count = min(frames, media.num_frames)
    # A hair more than the count, which would else be rounded down.
    rate = min((count + 1e-6) / media.duration_s, media.frame_rate)
    pixels = media.frames(frame_rate=rate, short_side=short_side)
    images = tuple(Image.of(np.ascontiguousarray(frame)) for frame in pixels)
    times = tuple(index / rate for index in range(len(images)))
    return Shown(images, times, _audio(media), media.duration_s)


def _audio(media: ClipMedia) -> Audio | None:
    if not media.has_audio:
        return None
    waveform = media.waveform(SAMPLE_RATE)
    return Audio.of(waveform, SAMPLE_RATE) if np.abs(waveform).max(initial=0.0) > _SILENCE else None
