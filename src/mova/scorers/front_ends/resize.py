"""Frames of another size, as networks were taught with: resized as numbers, rounded to whole ones again."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import torch

_AT_ONCE: Final = 8


def resized(
    frames: np.ndarray,
    size: tuple[int, int],
    *,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
    antialias: bool = True,
    native: bool = False,
) -> np.ndarray:
    """Return frames (F, H, W, 3) uint8 of another size.

    Networks notice whether their input was rounded in between: it is here, as in the pipelines that they were taught
    with. A few frames are worked on at a time, since numbers take four times the memory.

    Args:
        frames: (F, H, W, 3) uint8.
        size: height and width in pixels.
        mode: of interpolation.
        antialias: whether frames that become smaller are smoothed.
        native: whether all is computed in whole numbers, limited to 0..255 between the two directions too, as newer
            torchvision does where it is given whole numbers: bicubic always, bilinear on most processors.
    """
    if frames.shape[1:3] == size:
        return frames
    made = np.empty((len(frames), *size, frames.shape[3]), np.uint8)
    for first in range(0, len(frames), _AT_ONCE):
        numbers = torch.from_numpy(frames[first : first + _AT_ONCE]).permute(0, 3, 1, 2)
        numbers = numbers if native else numbers.float()
        other = torch.nn.functional.interpolate(numbers, size, mode=mode, antialias=antialias, align_corners=False)
        whole = other if native else other.round().clamp(0, 255).to(torch.uint8)
        made[first : first + _AT_ONCE] = whole.permute(0, 2, 3, 1).numpy()
    return made
