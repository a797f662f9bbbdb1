"""The two views of a video that DOVER looks at: fragments at full size for faults, whole small frames for composition.

Both are drawn at random in training, and in the original at test time too. Here a seeded generator draws, so that a
video has one score; with `torch.manual_seed` of the same seed the original's fragments lie at the same places.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from mova.scorers.front_ends.resize import resized

GROUPS: Final = 3
"""Parts of a video that the technical branch looks into."""
FRAMES: Final = 32
INTERVAL: Final = 2
GRID: Final = 7
FRAGMENT: Final = 32
SIDE: Final = GRID * FRAGMENT
_MEAN: Final = (123.675, 116.28, 103.53)
_STD: Final = (58.395, 57.12, 57.375)


def technical_places(num_frames: int, generator: torch.Generator) -> np.ndarray:
    """Return which frames the technical branch looks at: (3, 32), every second one, in each third at a random place.

    Args:
        num_frames: of the video; a shorter one begins again where it ends.
        generator: draws the places.
    """
    return _places(num_frames, GROUPS, FRAMES, generator)


def aesthetic_places(num_frames: int, generator: torch.Generator) -> np.ndarray:
    """Return which frames the aesthetic branch looks at: (32,), one at a random place of each 32nd part.

    Args:
        num_frames: of the video.
        generator: draws the places.
    """
    return _places(num_frames, FRAMES, 1, generator)[:, 0]


def fragment_offsets(size: tuple[int, int], groups: int, generator: torch.Generator) -> np.ndarray:
    """Return by how much each fragment lies below and right of its cell's corner: (2, 7, 7, groups).

    Args:
        size: height and width of the frames, of `enlarged`.
        groups: runs of 32 frames; within one nothing moves.
        generator: draws them, rows first.
    """
    drawn = []
    for length in size:
        room = length // GRID - FRAGMENT
        shape = (GRID, GRID, groups)
        drawn.append(torch.randint(room, shape, generator=generator) if room > 0 else torch.zeros(shape).long())
    return torch.stack(drawn).numpy()


def fragments(frames: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return a mosaic of 7 x 7 fragments of 32 x 32 pixels: (F, 224, 224, 3) uint8.

    Args:
        frames: (F, H, W, 3) uint8, of `enlarged`.
        offsets: (2, 7, 7) of `fragment_offsets`.
    """
    height, width = frames.shape[1:3]
    made = np.empty((len(frames), SIDE, SIDE, 3), np.uint8)
    for row in range(GRID):
        for column in range(GRID):
            top = min(height // GRID * row, height - FRAGMENT) + int(offsets[0, row, column])
            left = min(width // GRID * column, width - FRAGMENT) + int(offsets[1, row, column])
            cell = frames[:, top : top + FRAGMENT, left : left + FRAGMENT]
            made[:, row * FRAGMENT : (row + 1) * FRAGMENT, column * FRAGMENT : (column + 1) * FRAGMENT] = cell
    return made


def enlarged(frames: np.ndarray) -> np.ndarray:
    """Return frames (F, H, W, 3) uint8 whose shorter side is 224 pixels at least.

    The original enlarges too, and then cuts by the grid of the small size, out of the corner alone: here the grid is
    that of the enlarged frames.
    """
    height, width = frames.shape[1:3]
    if min(height, width) >= SIDE:
        return frames
    factor = SIDE / min(height, width)
    return resized(frames, (max(SIDE, int(height * factor)), max(SIDE, int(width * factor))), antialias=False)


def small_frames(frames: np.ndarray) -> np.ndarray:
    """Return frames (F, H, W, 3) uint8 as the aesthetic branch sees them: (F, 224, 224, 3), whatever their shape."""
    return resized(frames, (SIDE, SIDE))


def as_clip(view: np.ndarray) -> torch.Tensor:
    """Return a view (F, H, W, 3) uint8 as a network's input (1, 3, F, H, W) float32, normalised."""
    numbers = torch.from_numpy(view).float()
    return ((numbers - torch.tensor(_MEAN)) / torch.tensor(_STD)).permute(3, 0, 1, 2)[None]


def _places(num_frames: int, parts: int, frames: int, generator: torch.Generator) -> np.ndarray:
    """Return (parts, frames): frames at every second place, in each part at a random beginning."""
    length = num_frames // parts
    room = length - frames * INTERVAL
    begins = torch.randint(room, (parts,), generator=generator).numpy() if room > 0 else np.zeros(parts, np.int64)
    within = np.arange(frames)[None] * INTERVAL + begins[:, None] + (np.arange(parts) * length)[:, None]
    return np.asarray(within % num_frames)
