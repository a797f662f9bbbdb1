"""What Qwen2-VL sees of a video in VideoReward: which frames, of what size, cut into patches; where tokens stand."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import torch

PATCH: Final = 14
MERGED: Final = 2
"""Patches on a side that become one token."""
TIMES: Final = 2
"""Frames of a patch."""
LEAST_FRAMES: Final = 2
_STEP: Final = PATCH * MERGED
_LEAST_PIXELS: Final = 128 * _STEP * _STEP
_FEWEST, _MOST = 4, 768
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_STD: Final = (0.26862954, 0.26130258, 0.27577711)


class Grid(NamedTuple):
    """How many patches a video has in each direction.

    Attributes:
        times: pairs of frames.
        rows: of 14 pixels.
        columns: of 14 pixels.
    """

    times: int
    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """Return how many tokens stand for the video."""
        return self.times * (self.rows // MERGED) * (self.columns // MERGED)


def frame_places(num_frames: int, frame_rate: float, rate: float) -> np.ndarray:
    """Return which frames are looked at: an even number from 4 to 768, from the first to the last one.

    Args:
        num_frames: of the video, 2 or more; where there are fewer than 4, an even number of them is taken.
        frame_rate: of the video.
        rate: frames per second that are wanted.
    """
    wanted = min(max(num_frames / frame_rate * rate, _FEWEST), min(_MOST, num_frames) // TIMES * TIMES)
    count = min(round(wanted / TIMES) * TIMES, num_frames)
    return np.asarray(torch.linspace(0, num_frames - 1, count).round().long().numpy())


def frame_size(size: tuple[int, int], most_pixels: int) -> tuple[int, int]:
    """Return the height and width that frames are resized to: multiples of 28 with nearly the same shape.

    Args:
        size: height and width of the video.
        most_pixels: of a resized frame; the fewest are 128 tokens.
    """
    height, width = size
    near = [max(_STEP, round(length / _STEP) * _STEP) for length in size]
    if near[0] * near[1] > most_pixels:
        factor = math.sqrt(height * width / most_pixels)
        near = [max(_STEP, math.floor(length / factor / _STEP) * _STEP) for length in size]
    elif near[0] * near[1] < _LEAST_PIXELS:
        factor = math.sqrt(_LEAST_PIXELS / (height * width))
        near = [math.ceil(length * factor / _STEP) * _STEP for length in size]
    return near[0], near[1]


def patches(frames: np.ndarray) -> tuple[torch.Tensor, Grid]:
    """Return frames as rows of numbers, four neighbouring patches behind each other: (N, 1176) float32, and the grid.

    Args:
        frames: (F, H, W, 3) uint8, an even number, height and width multiples of 28.
    """
    count, height, width, _ = frames.shape
    grid = Grid(count // TIMES, height // PATCH, width // PATCH)
    numbers = (torch.from_numpy(frames).float() / 255.0 - torch.tensor(_MEAN)) / torch.tensor(_STD)
    cut = numbers.reshape(
        grid.times, TIMES, grid.rows // MERGED, MERGED, PATCH, grid.columns // MERGED, MERGED, PATCH, 3
    )
    # To times, rows and columns of tokens, patches of a token, and within a patch colour, time, row, column.
    return cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(grid.times * grid.rows * grid.columns, -1), grid


def token_places(before: int, grid: Grid, behind: int) -> torch.Tensor:
    """Return where each token stands in time, height and width: (3, 1, L) int64.

    Text counts on in all three alike; behind the video it goes on after the largest of its numbers.

    Args:
        before: tokens of text in front of the video.
        grid: of the video.
        behind: tokens of text after it.
    """
    extents = (grid.times, grid.rows // MERGED, grid.columns // MERGED)
    seen = torch.stack(torch.meshgrid(*(torch.arange(extent) for extent in extents), indexing="ij")).flatten(1)
    after = before + max(extents)
    text = [torch.arange(begin, begin + count).expand(3, -1) for begin, count in ((0, before), (after, behind))]
    return torch.cat([text[0], before + seen, text[1]], 1)[:, None]
