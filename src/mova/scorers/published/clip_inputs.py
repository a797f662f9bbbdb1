"""What published networks take of a clip: frames as FFmpeg's filter picks them, and whether its audio is there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from mova.media.read import read_frames
from mova.scorers.clip_media import ClipMedia

TAIL_S: Final = 0.1
"""By how much the audio may end before the video."""
_EARLY_S: Final = 0.002
_MOST_BYTES: Final = 256 * 2**20


def num_steps(duration_s: float, rate: float) -> int:
    """Return how many whole steps of 1 / rate a duration holds; rounding of the last binary digits takes none away."""
    return math.floor(duration_s * rate + 1e-6)


def sampled_frames(clip: ClipMedia, frame_rate: float, count: int) -> Iterator[np.ndarray]:
    """Yield frames (F, H, W, 3) uint8 at another rate, some at a time, as FFmpeg's filter `fps` picks them.

    Frame n is the last one that begins before the middle of step n; a player would show that at its beginning.

    Args:
        clip: as long as all steps.
        frame_rate: steps per second.
        count: of steps.

    Raises:
        ReadError: the file cannot be read, or is shorter.
    """
    height, width = clip.info.video.display_size
    at_once = max(1, _MOST_BYTES // (3 * height * width))
    for first in range(0, count, at_once):
        number = min(at_once, count - first)
        # Where a frame begins in the very middle of a step it counts for the next.
        start_s = (first + 0.5) / frame_rate - _EARLY_S
        yield read_frames(clip.path, frame_rate=frame_rate, num_frames=number, start_s=start_s)


def audio_gap(clip: ClipMedia) -> str:
    """Return "" where the audio lasts as long as the video, to a tenth of a second; else where it ends, in words."""
    info = clip.info
    if info.audio is None or info.audio.duration_s is None:
        return ""
    end_s = info.audio.start_s + info.audio.duration_s - info.video.start_s
    if end_s >= clip.duration_s - TAIL_S:
        return ""
    return f"the audio ends at {end_s:.2f} s, the video at {clip.duration_s:.2f} s"


def stands_still(frames: np.ndarray) -> bool:
    """Return whether nothing moves in frames (F, ...) uint8: no number is 8 or more away from the first frame's."""
    first = frames[0].astype(np.int16)
    return all(bool((np.abs(frame - first) < 8).all()) for frame in frames[1:])
