"""What of a true clip a model is given besides the caption, by name, and which of its frames it then knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mova.types import Clip

if TYPE_CHECKING:
    from mova.pipeline.inputs.media import GivenMedia

Given = Literal["frame", "text", "last", "first_last", "video", "audio"]
"""What a model is given of each clip: its first frame; nothing; its last frame; both; all of the video; the first frame
and all of the audio."""
GIVEN: Final[tuple[Given, ...]] = get_args(Given)
# Where one modality is given whole, so that it can be exchanged for another clip's.
WHOLE: Final = ("video", "audio")


def known_frames(clip: Clip, given: Given) -> Mapping[int, NDArray[np.uint8]] | None:
    """Return the frames (H, W, 3) that are given, by number, or None where it is the first one, or all of them."""
    if given in ("frame", *WHOLE):
        return None
    last = len(clip.frames) - 1
    numbers: dict[Given, tuple[int, ...]] = {"text": (), "last": (last,), "first_last": (0, last)}
    return {number: clip.frames[number] for number in numbers[given]}


def media_of(clip: Clip, given: Given) -> GivenMedia:
    """Return what is given of a clip as a call of the pipeline takes it."""
    from mova.pipeline.inputs.media import GivenMedia

    return GivenMedia(
        image=clip.frames[0] if given in ("frame", "first_last", "audio") else None,
        last_image=clip.frames[-1] if given in ("last", "first_last") else None,
        video=clip.frames if given == "video" else None,
        audio=clip.waveform if given == "audio" else None,
    )


def with_truth(made: Clip, truth: Clip, given: Given) -> Clip:
    """Return a clip with the true modality in place of the given one, which was another clip's."""
    if given == "video":
        return replace(made, frames=truth.frames)
    return replace(made, waveform=truth.waveform, sample_rate=truth.sample_rate)
