"""Latents to tokens and back, for grids of one (audio) or three (video) axes."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError, GeometryError
from mova.geometry import nearest_multiples

# By the number of axes. Channels come first within a patch where it is read and last where it is written:
# the published layout of `patch_embedding.weight` and of `head.head.weight`.
_READ = {
    1: "b c (t pt) -> b t (c pt)",
    3: "b c (t pt) (h ph) (w pw) -> b (t h w) (c pt ph pw)",
}
_WRITE = {
    1: "b t (pt c) -> b c (t pt)",
    3: "b (t h w) (pt ph pw c) -> b c (t pt) (h ph) (w pw)",
}
_SIZES = ("t", "h", "w")


class PatchEmbedding(nn.Module):
    """A convolution whose stride is its kernel, computed as a matrix product over patches.

    The product is exact and avoids the slow batch-1 `conv3d` of the CPU; the weight keeps the shape of the convolution.

    Args:
        in_channels: C.
        dim: D.
        patch_size: latent cells per token, one number per axis (1 or 3 axes).

    Raises:
        ConfigError: another number of axes.
    """

    def __init__(self, in_channels: int, dim: int, patch_size: tuple[int, ...]) -> None:
        super().__init__()
        if len(patch_size) not in _READ:
            raise ConfigError(f"patch size must have 1 or 3 axes, got {list(patch_size)}")
        self.patch_size = patch_size
        self.weight = nn.Parameter(torch.empty(dim, in_channels, *patch_size))
        self.bias = nn.Parameter(torch.zeros(dim))
        nn.init.xavier_uniform_(self.weight.view(dim, -1))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Turn (B, C, *grid) latents into (B, L, D) tokens, last axis of the grid fastest."""
        sizes = dict(zip(("pt", "ph", "pw"), self.patch_size, strict=False))
        patches = rearrange(latents, _READ[len(self.patch_size)], **sizes)
        return functional.linear(patches, self.weight.flatten(1), self.bias)


def token_grid(latents: torch.Tensor, patch_size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of tokens along each axis.

    Args:
        latents: (B, C, *grid).
        patch_size: latent cells per token, one number per axis.

    Raises:
        GeometryError: a wrong number of axes, or a size that is not a multiple of the patch.
    """
    grid = tuple(latents.shape[2:])
    if len(grid) != len(patch_size):
        raise GeometryError(f"latents must have {len(patch_size) + 2} axes (B, C, ...), got {tuple(latents.shape)}")
    for name, size, step in zip(_SIZES, grid, patch_size, strict=False):
        if size < step or size % step:
            below, above = nearest_multiples(size, step)
            raise GeometryError(
                f"latent size {name} must be a positive multiple of {step}, got {size}; nearest are {below} and {above}"
            )
    return tuple(size // step for size, step in zip(grid, patch_size, strict=True))


def unpatchify(tokens: torch.Tensor, grid: tuple[int, ...], patch_size: tuple[int, ...]) -> torch.Tensor:
    """Turn (B, L, patch * C) head outputs into (B, C, *latent grid); `grid` counts tokens along each axis."""
    patches = dict(zip(("pt", "ph", "pw"), patch_size, strict=False))
    sizes = dict(zip(_SIZES, grid, strict=False))
    return rearrange(tokens, _WRITE[len(patch_size)], **sizes, **patches)
