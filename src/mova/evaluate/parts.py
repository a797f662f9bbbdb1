"""Parts of a long clip, each measured by itself: whether sync, colours and voices last."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import ConfigError, GeometryError
from mova.geometry import num_samples
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.score import ClipScore, score_clip
from mova.types import Clip

MAX_PARTS: Final = 16
MIN_PART_S: Final = 1.0  # in less, a scene has too few events


def check_parts(parts: int) -> None:
    """Refuse a number of parts that none can be measured in.

    Raises:
        ConfigError: it is neither 0 nor 2 to 16.
    """
    if parts and not 2 <= parts <= MAX_PARTS:
        raise ConfigError(
            f"parts must be 0 (none) or 2 to {MAX_PARTS}, got {parts}; nearest is {min(max(parts, 2), MAX_PARTS)}"
        )


def score_parts(scene: Scene, clip: Clip, count: int, first_frame: NDArray[np.uint8]) -> tuple[ClipScore, ...]:
    """Measure equal parts of a clip, one after another.

    Only what can be right or wrong at any time is measured: that what is seen is heard, notes, voices, vowels, floors,
    colours, size and background. Order, places and the start belong to the whole clip.

    Args:
        scene: what was asked for.
        clip: what came.
        count: number of parts.
        first_frame: (H, W, 3) uint8, which size and background are compared with.

    Raises:
        GeometryError: parts of less than a second.
    """
    length = len(clip.frames) // count
    if length < MIN_PART_S * clip.frame_rate:
        longest = int(len(clip.frames) / clip.frame_rate / MIN_PART_S)
        raise GeometryError(
            f"parts must be {MIN_PART_S:g} s or longer, got {count} parts of a clip of "
            f"{len(clip.frames) / clip.frame_rate:.2f} s; nearest is {longest} parts"
        )
    found = []
    for first in range(0, count * length, length):
        start, end = (num_samples(at, clip.frame_rate, clip.sample_rate) for at in (first, first + length))
        waveform = None if clip.waveform is None else clip.waveform[:, start:end]
        part = replace(clip, frames=clip.frames[first : first + length], waveform=waveform)
        score = score_clip(scene, part, first_frame=first_frame)
        found.append(
            replace(
                score,
                frame_given=False,
                order_right=None,
                speaker_right=None,
                place_right=None,
                landing_right=None,
                start_kept=None,
                start_distance=None,
            )
        )
    return tuple(found)
