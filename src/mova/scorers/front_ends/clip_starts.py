"""Where the clips of a sound begin that ImageBind listens to."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Final

from mova.errors import ConfigError

SAMPLE_RATE: Final = 16_000
CLIP_S: Final = 2
NUM_CLIPS: Final = 3


class Spacing(StrEnum):
    """Where the three clips of a sound begin; the releases of pytorchvideo disagree.

    Attributes:
        THIRDS: a third of what is left of the sound apart, as release 0.1.5 does: its last part is never heard.
        HALVES: half of it apart, from the beginning to the end, as later versions do.
    """

    THIRDS = "thirds"
    HALVES = "halves"


def clip_starts(num_samples: int, spacing: Spacing = Spacing.THIRDS) -> tuple[int, ...]:
    """Return the first sample of each of three clips of two seconds, at 16 kHz.

    Args:
        num_samples: of the sound, at least two seconds.
        spacing: of the clips.

    Raises:
        ConfigError: the sound is shorter than a clip.
    """
    least = CLIP_S * SAMPLE_RATE
    if num_samples < least:
        raise ConfigError(
            f"a sound for ImageBind must have {least} samples or more, got {num_samples}; nearest is {least}"
        )
    # Of the length in seconds as a double, as published: in whole samples a start may differ by one.
    left = Fraction(num_samples / SAMPLE_RATE - CLIP_S)
    parts = NUM_CLIPS if spacing is Spacing.THIRDS else NUM_CLIPS - 1
    return tuple(int(left * index / parts * SAMPLE_RATE) for index in range(NUM_CLIPS))
