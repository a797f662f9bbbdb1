"""Rotary position tables of the towers (3-D and 1-D) and of the bridge (time shared by video and audio).

Angles are computed once in float64 and kept as float32 cosines and sines; tokens are rotated in real float32
arithmetic. Tables belong to no module: they follow from the grid alone, so both video experts share them.

Shapes: B batch, L tokens, V video tokens, A audio tokens, N heads, E head dimension.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from mova.errors import ConfigError
from mova.geometry import CodecGeometry

THETA = 10_000.0
_KEPT_GRIDS = 8


class RotaryTable(NamedTuple):
    """Cosines and sines of the angles of each token.

    Attributes:
        cos, sin: (L, 1, E / 2) float32; the middle axis stands for the heads.
    """

    cos: torch.Tensor
    sin: torch.Tensor


def rotate_pairs(x_BLNE: torch.Tensor, table: RotaryTable, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Rotate neighbouring channels (0, 1), (2, 3), ...: the convention of the towers.

    Args:
        x_BLNE: (B, L, N, E) float32.
        table: of the same L and E.
        dtype: of the result, which is rounded once.

    Returns:
        (B, L, N, E).
    """
    cos, sin = table
    pairs = x_BLNE.unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling() or x_BLNE.device.type == "mps":
        # Compilers fuse the real form and know no complex numbers; nor do Apple's GPUs.
        even, odd = pairs.unbind(-1)
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).to(dtype)
    # One pass over the tokens. Reading every other channel, as the real form does, takes a CPU 25 times as long.
    turned = torch.view_as_complex(pairs) * torch.complex(cos, sin)
    return torch.view_as_real(turned).flatten(-2).to(dtype)


def rotate_halves(x_BLNE: torch.Tensor, table: RotaryTable, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Rotate channel i with channel i + E / 2: the convention of the bridge.

    Args:
        x_BLNE: (B, L, N, E) float32.
        table: of the same L and E.
        dtype: of the result, which is rounded once.

    Returns:
        (B, L, N, E).
    """
    first, second = x_BLNE.chunk(2, dim=-1)
    cos, sin = table
    # A CPU gains nothing by writing halves in their places, and with few channels it loses.
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or x_BLNE.device.type == "cpu":
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(dtype)
    return _write_halves(first, second, table, torch.empty(x_BLNE.shape, dtype=dtype, device=x_BLNE.device))


def _write_halves(first: torch.Tensor, second: torch.Tensor, table: RotaryTable, turned: torch.Tensor) -> torch.Tensor:
    """Write the rotation of two halves (B, L, N, E / 2) where they belong, rounded to the dtype there; return it."""
    low, high = turned.chunk(2, dim=-1)
    torch.sub(first * table.cos, second * table.sin, out=low)
    torch.add(second * table.cos, first * table.sin, out=high)
    return turned


def split_head_dim(head_dim: int) -> tuple[int, int, int]:
    """Return the channels of a head that turn with time, height and width.

    Height and width take a third each (rounded down), time the rest: 44, 42 and 42 of 128.

    Raises:
        ConfigError: the parts are not even, so that channels cannot be paired; the text names the nearest valid sizes.
    """
    if not _splits_evenly(head_dim):
        below = next((size for size in range(head_dim - 1, 5, -1) if _splits_evenly(size)), None)
        above = next(size for size in range(max(head_dim, 5) + 1, max(head_dim, 5) + 13) if _splits_evenly(size))
        nearest = f"nearest is {above}" if below is None else f"nearest are {below} and {above}"
        raise ConfigError(f"head dimension and a third of it (rounded down) must be even, got {head_dim}; {nearest}")
    third = head_dim // 3
    return head_dim - 2 * third, third, third


def _splits_evenly(head_dim: int) -> bool:
    return head_dim >= 6 and head_dim % 2 == 0 and head_dim // 3 % 2 == 0


@lru_cache(maxsize=_KEPT_GRIDS)
def video_rotary(grid: tuple[int, int, int], head_dim: int, device: torch.device) -> RotaryTable:
    """Return the table of a video tower.

    Args:
        grid: tokens along time, height and width.
        head_dim: channels per head, see `split_head_dim`.
        device: where the table lives.

    Returns:
        The table for L = time x height x width tokens, width fastest.
    """
    parts = split_head_dim(head_dim)
    with torch.inference_mode(False):
        axes = [_angles(torch.arange(size, dtype=torch.float64), part) for size, part in zip(grid, parts, strict=True)]
        time, height, width = axes
        angles = torch.cat(
            (
                time[:, None, None].expand(*grid, -1),
                height[None, :, None].expand(*grid, -1),
                width[None, None, :].expand(*grid, -1),
            ),
            dim=-1,
        )
        return _table(angles.flatten(0, 2), device)


@lru_cache(maxsize=_KEPT_GRIDS)
def audio_rotary(num_steps: int, head_dim: int, device: torch.device) -> RotaryTable:
    """Return the table of an audio tower: one position per latent step over the whole head dimension."""
    with torch.inference_mode(False):
        return _table(_angles(torch.arange(num_steps, dtype=torch.float64), head_dim), device)


def aligned_video_positions(
    num_latent_frames: int, frame_rate: float, audio_latent_rate: float, first_frame_bias: bool
) -> torch.Tensor:
    """Return where latent frames lie on the time axis of the audio, in audio latent steps (paper section 3.2).

    Args:
        num_latent_frames: T.
        frame_rate: pixel frames per second.
        audio_latent_rate: audio latent steps per second.
        first_frame_bias: let the first latent frame last one pixel frame, as the video autoencoder has it, instead of
            as long as all others.

    Returns:
        (T,) float64.
    """
    index = torch.arange(num_latent_frames, dtype=torch.float64)
    steps_per_frame = audio_latent_rate / CodecGeometry().video_latent_rate(frame_rate)
    if not first_frame_bias:
        return index * steps_per_frame
    later = audio_latent_rate / frame_rate + (index - 1) * steps_per_frame
    return torch.where(index == 0, 0.0, later)


@lru_cache(maxsize=_KEPT_GRIDS)
def aligned_rotary(
    grid: tuple[int, int, int],
    num_audio_steps: int,
    head_dim: int,
    frame_rate: float,
    audio_latent_rate: float,
    first_frame_bias: bool,
    device: torch.device,
) -> tuple[RotaryTable, RotaryTable]:
    """Return the tables of the bridge for video and audio, on one time axis.

    All tokens of a latent frame share one position; audio tokens count 0, 1, 2, ...

    Args:
        grid: video tokens along time, height and width (one token per latent frame in time).
        num_audio_steps: A.
        head_dim: channels per head of the bridge.
        frame_rate, audio_latent_rate, first_frame_bias: see `aligned_video_positions`.
        device: where the tables live.

    Returns:
        Tables for V = time x height x width and for A tokens.
    """
    with torch.inference_mode(False):
        positions = aligned_video_positions(grid[0], frame_rate, audio_latent_rate, first_frame_bias)
        video = _angles(positions, head_dim).repeat_interleave(grid[1] * grid[2], dim=0)
        audio = _angles(torch.arange(num_audio_steps, dtype=torch.float64), head_dim)
        return _table(video, device), _table(audio, device)


def _angles(positions: torch.Tensor, dim: int) -> torch.Tensor:
    exponents = torch.arange(0, dim, 2, dtype=torch.float64) / dim
    return torch.outer(positions, THETA**-exponents)


def _table(angles: torch.Tensor, device: torch.device) -> RotaryTable:
    angles = angles[:, None]
    # Rounded where they were made: Apple's GPUs have no float64.
    return RotaryTable(angles.cos().float().to(device), angles.sin().float().to(device))
