"""What of a true clip a model is given besides the caption, by name, and what of it is then known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mova.geometry import num_samples
from mova.toyworld.score import Known
from mova.types import Clip

if TYPE_CHECKING:
    from mova.pipeline.inputs.media import GivenMedia

Given = Literal["frame", "text", "last", "first_last", "keyframes", "prefix", "video", "audio"]
"""What a model is given of each clip: its first frame; nothing; its last frame; both; those and two between; the first
half of video and audio; all of the video; the first frame and all of the audio."""
GIVEN: Final[tuple[Given, ...]] = get_args(Given)
# Where one modality is given whole, so that it can be exchanged for another clip's.
WHOLE: Final = ("video", "audio")
# Of the clip's length.
KEYFRAMES: Final = (0.0, 1 / 3, 2 / 3, 1.0)
PREFIX: Final = 0.5
# An image stands where a latent frame ends, a prefix ends there: at every fourth frame.
_FRAMES_PER_LATENT: Final = 4


def known_of(clip: Clip, given: Given) -> Known | None:
    """Return what is known of a clip; None where it is the first frame, or one modality whole, as measured ever."""
    if given in ("frame", *WHOLE):
        return None
    if given == "prefix":
        end = _on_grid(clip, PREFIX) + 1
        until_s = end / clip.frame_rate
        return Known(dict(enumerate(clip.frames[:end])), until_s, (until_s,))
    return Known({number: clip.frames[number] for number in _images(clip, given)})


def media_of(clip: Clip, given: Given) -> GivenMedia:
    """Return what is given of a clip as a call of the pipeline takes it."""
    from mova.pipeline.inputs.media import GivenMedia

    if given == "video":
        return GivenMedia(video=clip.frames)
    if given == "audio":
        return GivenMedia(image=clip.frames[0], audio=clip.waveform)
    if given == "prefix":
        assert clip.waveform is not None, "rendered clips have audio"
        end = _on_grid(clip, PREFIX) + 1
        kept = [(0.0, end / clip.frame_rate)]
        samples = clip.waveform[:, : num_samples(end, clip.frame_rate, clip.sample_rate)]
        return GivenMedia(video=clip.frames[:end], audio=samples, keep_video=kept, keep_audio=kept)
    last = len(clip.frames) - 1
    images = {number: clip.frames[number] for number in _images(clip, given)}
    between: dict[int | float, NDArray[np.uint8]] = {
        number: image for number, image in images.items() if number not in (0, last)
    }
    return GivenMedia(image=images.get(0), last_image=images.get(last), keyframes=between)


def with_truth(made: Clip, truth: Clip, given: Given) -> Clip:
    """Return a clip with the true modality in place of the given one, which was another clip's."""
    if given == "video":
        return replace(made, frames=truth.frames)
    return replace(made, waveform=truth.waveform, sample_rate=truth.sample_rate)


def _images(clip: Clip, given: Given) -> tuple[int, ...]:
    """Return the numbers of the frames that are given as images."""
    last = len(clip.frames) - 1
    if given == "keyframes":
        return tuple(sorted({_on_grid(clip, share) for share in KEYFRAMES}))
    numbers: dict[Given, tuple[int, ...]] = {"frame": (0,), "last": (last,), "first_last": (0, last)}
    return numbers.get(given, ())


def _on_grid(clip: Clip, share: float) -> int:
    """Return the frame nearest to a share of a clip at which a latent frame ends."""
    return _FRAMES_PER_LATENT * round(share * (len(clip.frames) - 1) / _FRAMES_PER_LATENT)
