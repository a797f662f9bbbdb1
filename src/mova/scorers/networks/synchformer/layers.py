"""Layers that both extractors of Synchformer have: an MLP, and a transformer layer that makes one token of many."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

EPS = 1e-6
"""Of the norms of the video extractor and of the aggregation."""


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return output


class Aggregation(nn.TransformerEncoderLayer):
    """A pre-norm transformer layer with a class token of its own, whose output stands for all tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__(
            dim, heads, 4 * dim, activation="gelu", layer_norm_eps=EPS, batch_first=True, norm_first=True, dropout=0.0
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))

    def gather(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (N, dim) of tokens (N, L, dim)."""
        output: torch.Tensor = self(torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1))[:, 0]
        return output


def heads_first(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Return (N, heads, L, dim / heads) of (N, L, dim)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def heads_last(x: torch.Tensor) -> torch.Tensor:
    """Return (N, L, dim) of (N, heads, L, dim / heads)."""
    return x.transpose(1, 2).flatten(2)
