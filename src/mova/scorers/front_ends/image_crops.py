"""Frames as Synchformer and ImageBind were taught with: made smaller in whole numbers, cut to a square, normalised."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch

from mova.scorers.front_ends.resize import resized

SIDE: Final = 224
SEGMENT_FRAMES: Final = 16
SEGMENT_STEP_FRAMES: Final = 8
_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_CLIP_DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)


def with_short_side(frames: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return frames (F, h, w, 3) uint8 whose shorter side has `side` pixels; of (F, H, W, 3) uint8, bicubic."""
    height, width = frames.shape[1:3]
    longer = int(side * max(height, width) / min(height, width))
    size = (side, longer) if height <= width else (longer, side)
    return resized(frames, size, mode="bicubic", native=True)


def synchformer_frames(frames: np.ndarray) -> np.ndarray:
    """Return the middle square of frames (F, H, W, 3) uint8, of 224 pixels: (F, 3, 224, 224) uint8."""
    small = with_short_side(frames)
    # Halves are rounded to even numbers, as published.
    top, left = (round((size - SIDE) / 2) for size in small.shape[1:3])
    square = small[:, top : top + SIDE, left : left + SIDE]
    return np.ascontiguousarray(square.transpose(0, 3, 1, 2))


def synchformer_segments(frames: np.ndarray) -> torch.Tensor:
    """Return what Synchformer sees: (segments, 16, 3, 224, 224) float32 in [-1, 1], a segment each 8 frames.

    Args:
        frames: (F, 3, 224, 224) uint8 of `synchformer_frames`, 16 or more, at 25 per second.
    """
    numbers = (torch.from_numpy(frames).float() / 255.0 - 0.5) / 0.5
    return numbers.unfold(0, SEGMENT_FRAMES, SEGMENT_STEP_FRAMES).permute(0, 4, 1, 2, 3)


def imagebind_crops(frames: np.ndarray) -> torch.Tensor:
    """Return three squares of frames, along their longer side: (3, F, 3, 224, 224) float32, normalised as CLIP does.

    Args:
        frames: (F, H, W, 3) uint8.
    """
    small = with_short_side(frames)
    height, width = small.shape[1:3]
    top, left = (math.ceil((size - SIDE) / 2) for size in (height, width))
    if height > width:
        corners = [(0, left), (top, left), (height - SIDE, left)]
    else:
        corners = [(top, 0), (top, left), (top, width - SIDE)]
    squares = [small[:, down : down + SIDE, right : right + SIDE] for down, right in corners]
    numbers = torch.from_numpy(np.stack(squares)).permute(0, 1, 4, 2, 3).float() / 255.0
    mean, deviation = (torch.tensor(three).view(3, 1, 1) for three in (_CLIP_MEAN, _CLIP_DEVIATION))
    return (numbers - mean) / deviation


def neighbour_pairs(crops: torch.Tensor) -> torch.Tensor:
    """Return pairs of neighbouring frames, (N, 2, 3, side, side), of crops (C, F, 3, side, side): N is C (F - 1).

    The crops of the first pair come first. A single frame is paired with itself.
    """
    if crops.shape[1] == 1:
        crops = crops.expand(-1, 2, -1, -1, -1)
    return torch.stack([crops[:, :-1], crops[:, 1:]], dim=2).transpose(0, 1).flatten(0, 1)
