"""How many clips may be made in one call, beside a model that is in memory already."""

from __future__ import annotations

from typing import Final

from mova.geometry import ClipGeometry
from mova.plan.memory import USABLE_SHARE, Room, decoding_bytes, denoising_bytes, frames_bytes, text_bytes
from mova.plan.step_cache import StepCacheUse
from mova.weights.dims import ModelDims

MOST_CLIPS: Final = 16
"""In one call. A computation that is interrupted, and somebody who waits for the first of them, lose by more."""
# The frames of all clips are there twice when they are put together: as decoded, and as one tensor or images.
_COPIES: Final = 2


def most_clips(
    model: ModelDims,
    geometry: ClipGeometry,
    room: Room,
    *,
    element_bytes: int,
    together: bool = False,
    step_cache: StepCacheUse | None = None,
) -> int:
    """Return how many clips of one size and length one call may make.

    Args:
        model: dimensions of the model, whose weights are in memory.
        geometry: size and length of the clips.
        room: what is free now, beside the weights.
        element_bytes: of a number of towers and texts.
        together: whether the towers compute all clips in one forward; else one clip after the other.
        step_cache: how a step cache is used, which keeps something of each clip; None without one.

    Returns:
        1 to `MOST_CLIPS`: one clip is never refused here.
    """
    forward, texts = denoising_bytes(model, geometry, element_bytes), text_bytes(model, element_bytes)
    kept = 0 if step_cache is None else step_cache.num_bytes(model, geometry, element_bytes)
    frames = _COPIES * frames_bytes(geometry)
    device, host = USABLE_SHARE * room.device_bytes, USABLE_SHARE * room.host_bytes
    decoding = decoding_bytes(model, geometry, is_gpu=room.is_gpu)
    for count in range(MOST_CLIPS, 1, -1):
        denoising = (count if together else 1) * forward + count * (texts + kept)
        # Decoded one by one; the frames of the others wait, on a GPU there.
        at_once = decoding + (count - 1) * frames
        if max(denoising, at_once) <= device and count * frames <= host:
            return count
    return 1
