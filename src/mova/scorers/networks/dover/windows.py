"""Windows of a video in which tokens attend to each other: cutting, counting and masking."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Final

import torch

Volume = tuple[int, int, int]
"""Time, height and width."""

ACROSS: Final = -100.0
"""Added where tokens of a shifted window do not belong together, as in the original: not quite minus infinity."""


def fitted(window: Volume, size: Volume) -> tuple[Volume, Volume]:
    """Return the window that fits a video, and by how much windows of odd blocks are shifted.

    Args:
        window: wanted.
        size: of the video; where it is no larger than the window it is the window, and nothing is shifted there.
    """
    pairs = tuple(zip(window, size, strict=True))
    fits = tuple(min(want, there) for want, there in pairs)
    shift = tuple(0 if there <= want else want // 2 for want, there in pairs)
    return _volume(fits), _volume(shift)


def split(tokens: torch.Tensor, window: Volume) -> torch.Tensor:
    """Return the windows of tokens: (B, T, H, W, C) to (B * N, t * h * w, C); the sizes are multiples."""
    batch, *size, channels = tokens.shape
    cut = [part for length, extent in zip(size, window, strict=True) for part in (length // extent, extent)]
    return tokens.reshape(batch, *cut, channels).permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, _prod(window), channels)


def joined(windows: torch.Tensor, window: Volume, size: Volume) -> torch.Tensor:
    """Return what `split` was given: (B * N, t * h * w, C) to (B, T, H, W, C)."""
    grid = [length // extent for length, extent in zip(size, window, strict=True)]
    cut = windows.reshape(-1, *grid, *window, windows.shape[-1])
    return cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, *size, windows.shape[-1])


@lru_cache(maxsize=32)
def shift_mask(size: Volume, window: Volume, shift: Volume) -> torch.Tensor:
    """Return which tokens of shifted windows lie in different regions: (N, L, L) bool.

    Args:
        size: of the video, multiples of the window.
        window: of `fitted`.
        shift: of `fitted`, not zero everywhere.
    """
    regions = torch.zeros(1, *size, 1)
    ranges = [
        (slice(-extent), slice(-extent, -offset), slice(-offset, None)) if offset else (slice(None),)
        for extent, offset in zip(window, shift, strict=True)
    ]
    for number, (time, row, column) in enumerate(product(*ranges)):
        regions[:, time, row, column] = number
    inside = split(regions, window)[..., 0]
    return inside[:, :, None] != inside[:, None, :]


@lru_cache(maxsize=32)
def fragment_distance(size: Volume, window: Volume, shift: Volume) -> torch.Tensor:
    """Return how many fragments apart two tokens of a window are, rows and columns added: (N, L, L) uint8.

    The video is a mosaic of as many fragments as a window is high and wide; a token belongs to the one that it lies in,
    whatever of the video is there.

    Args:
        size: of the video, multiples of the window.
        window: of `fitted`.
        shift: by which the windows are shifted, zeros too.
    """
    rows, columns = (
        (torch.arange(length) * (extent / length)).long() for length, extent in zip(size[1:], window[1:], strict=True)
    )
    shape = (1, *size, 1)
    place = torch.cat(
        [rows[:, None].expand(*size)[None, ..., None], columns.expand(*size)[None, ..., None].expand(shape)], -1
    )
    place = torch.roll(place, [-offset for offset in shift], (1, 2, 3))
    inside = split(place, window)
    return (inside[:, :, None] - inside[:, None, :]).abs().sum(-1).to(torch.uint8)


def relative_index(window: Volume) -> torch.Tensor:
    """Return the row of a bias table for each pair of tokens of a window: (L, L) int64."""
    places = torch.stack(torch.meshgrid(*(torch.arange(extent) for extent in window), indexing="ij")).flatten(1)
    apart = places[:, :, None] - places[:, None, :]
    _, height, width = window
    steps = torch.tensor([(2 * height - 1) * (2 * width - 1), 2 * width - 1, 1])
    return ((apart + torch.tensor(window)[:, None, None] - 1) * steps[:, None, None]).sum(0)


def table_rows(window: Volume) -> int:
    """Return how many rows a bias table has: one for each distance of two tokens."""
    return _prod(_volume(tuple(2 * extent - 1 for extent in window)))


def _prod(volume: Volume) -> int:
    return volume[0] * volume[1] * volume[2]


def _volume(numbers: tuple[int, ...]) -> Volume:
    time, height, width = numbers
    return time, height, width
