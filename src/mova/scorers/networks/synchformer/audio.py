"""Audio extractor of Synchformer: an audio spectrogram transformer (AST) whose bands are put together at each step.

Gong et al., "AST: Audio Spectrogram Transformer", 2021, as Synchformer applies it to segments of 0.64 seconds.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional

from mova.scorers.networks.synchformer.layers import Aggregation, heads_first, heads_last
from mova.scorers.networks.synchformer.sizes import SynchformerSizes

AST_EPS: Final = 1e-12
_OWN_TOKENS: Final = 2
"""The class token and the one for distillation."""


class _Projection(nn.Module):
    """A convolution under its published name."""

    def __init__(self, dim: int, patch: int, stride: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(1, dim, patch, stride)


class _Embeddings(nn.Module):
    """Patches of a mel with their places, behind the two tokens of the network's own."""

    def __init__(self, sizes: SynchformerSizes) -> None:
        super().__init__()
        across, along = sizes.mel_grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.dim))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, sizes.dim))
        self.position_embeddings = nn.Parameter(torch.zeros(1, _OWN_TOKENS + across * along, sizes.dim))
        self.patch_embeddings = _Projection(sizes.dim, sizes.patch, sizes.mel_stride)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embeddings.projection(mels.transpose(1, 2).unsqueeze(1)).flatten(2).transpose(1, 2)
        own = torch.cat([self.cls_token, self.distillation_token], dim=1).expand(len(mels), -1, -1)
        output: torch.Tensor = torch.cat([own, patches], dim=1) + self.position_embeddings
        return output


class _Dense(nn.Module):
    """A linear layer under its published name."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(dim_in, dim_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.dense(x)
        return output


class _Queries(nn.Module):
    """Queries, keys and values of attention."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)


class _Attention(nn.Module):
    """Attention of every token to every token."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = _Queries(dim)
        self.output = _Dense(dim, dim)
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own = self.attention
        q, k, v = (heads_first(part(x), self.heads) for part in (own.query, own.key, own.value))
        output: torch.Tensor = self.output(heads_last(functional.scaled_dot_product_attention(q, k, v)))
        return output


class _Layer(nn.Module):
    """A pre-norm transformer block with an exact GELU."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = _Attention(dim, heads)
        self.intermediate = _Dense(dim, 4 * dim)
        self.output = _Dense(4 * dim, dim)
        self.layernorm_before = nn.LayerNorm(dim, AST_EPS)
        self.layernorm_after = nn.LayerNorm(dim, AST_EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.layernorm_before(x))
        output: torch.Tensor = x + self.output(functional.gelu(self.intermediate(self.layernorm_after(x))))
        return output


class _Encoder(nn.Module):
    """The blocks under their published name."""

    def __init__(self, sizes: SynchformerSizes) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(sizes.dim, sizes.heads) for _ in range(sizes.depth))


class _Ast(nn.Module):
    """Embeddings, blocks and a last norm."""

    def __init__(self, sizes: SynchformerSizes) -> None:
        super().__init__()
        self.embeddings = _Embeddings(sizes)
        self.encoder = _Encoder(sizes)
        self.layernorm = nn.LayerNorm(sizes.dim, AST_EPS)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        x = self.embeddings(mels)
        for layer in self.encoder.layer:
            x = layer(x)
        output: torch.Tensor = self.layernorm(x)
        return output


class AudioExtractor(nn.Module):
    """Features of segments of sound: one for each step of patches over time."""

    def __init__(self, sizes: SynchformerSizes) -> None:
        super().__init__()
        self.ast = _Ast(sizes)
        self.freq_attn_agg = Aggregation(sizes.dim, sizes.heads)
        self._grid = sizes.mel_grid

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Return (N, steps of patches, dim) of normalised log-mels (N, T, bands)."""
        tokens: torch.Tensor = self.ast(mels)[:, _OWN_TOKENS:]
        columns = tokens.reshape(len(mels), *self._grid, -1).transpose(1, 2)
        return self.freq_attn_agg.gather(columns.flatten(0, 1)).reshape(len(mels), self._grid[1], -1)
