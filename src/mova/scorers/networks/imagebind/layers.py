"""Layers of ImageBind's towers under their published names."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional

EPS: Final = 1e-6
"""Of the norms of blocks and heads."""


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return output


class Block(nn.Module):
    """A pre-norm transformer block.

    Args:
        dim: width of tokens.
        heads: of attention.
        has_extra_row: whether attention sees one learned key and value behind those of the tokens.
    """

    def __init__(self, dim: int, heads: int, *, has_extra_row: bool) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, add_bias_kv=has_extra_row, batch_first=True)
        self.norm_1 = nn.LayerNorm(dim, EPS)
        self.mlp = Mlp(dim)
        self.norm_2 = nn.LayerNorm(dim, EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own = self.norm_1(x)
        x = x + self.attn(own, own, own, need_weights=False)[0]
        output: torch.Tensor = x + self.mlp(self.norm_2(x))
        return output


class Trunk(nn.Module):
    """Blocks, behind a norm where the tower has one."""

    def __init__(self, dim: int, heads: int, depth: int, *, has_norm: bool, has_extra_row: bool) -> None:
        super().__init__()
        if has_norm:
            self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(dim, EPS))
        self.blocks = nn.ModuleList(Block(dim, heads, has_extra_row=has_extra_row) for _ in range(depth))
        self._has_norm = has_norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, L, dim) of tokens (N, L, dim)."""
        if self._has_norm:
            x = self.pre_transformer_layer(x)
        for block in self.blocks:
            x = block(x)
        return x


class FirstToken(nn.Module):
    """Takes the class token: (N, dim) of (N, L, dim)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0]


class Places(nn.Module):
    """The learned table of places of a tower."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))


class Stem(nn.Module):
    """A convolution that makes tokens of patches, and a norm behind it where the tower has one."""

    def __init__(self, proj: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.proj = proj
        if norm is not None:
            self.norm_layer = norm
        self._has_norm = norm is not None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.proj(x).flatten(2).transpose(1, 2)
        output: torch.Tensor = self.norm_layer(tokens) if self._has_norm else tokens
        return output


class Tokens(nn.Module):
    """Patches with their places, behind a class token."""

    def __init__(self, stem: Stem, tokens: int, dim: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.rgbt_stem = stem
        self.pos_embedding_helper = Places(1 + tokens, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.rgbt_stem(x)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        output: torch.Tensor = tokens + self.pos_embedding_helper.pos_embed
        return output


class Scale(nn.Module):
    """Makes vectors as long as a stored scale, and that at most 100, says."""

    def __init__(self) -> None:
        super().__init__()
        self.log_logit_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.log_logit_scale.exp().clamp(max=100.0)


class UnitLength(nn.Module):
    """Makes vectors of length 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.normalize(x, dim=-1)
