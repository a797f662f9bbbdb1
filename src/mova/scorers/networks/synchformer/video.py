"""Video extractor of Synchformer: a Motionformer with attention over time and over space in turns.

Iashin et al., "Synchformer: Efficient Synchronization from Sparse Cues", 2024; v-iashin/Synchformer. Divided attention
is that of Bertasius et al., "Is Space-Time Attention All You Need for Video Understanding?", 2021.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from mova.scorers.networks.synchformer.layers import EPS, Aggregation, Mlp, heads_first, heads_last
from mova.scorers.networks.synchformer.sizes import SynchformerSizes


class _Embedding(nn.Module):
    """A convolution whose steps are as large as its kernel."""

    def __init__(self, proj: nn.Module) -> None:
        super().__init__()
        self.proj = proj


class _DividedAttention(nn.Module):
    """Attention in which a token sees those of its own group and the class token, which sees all."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.heads = heads

    def forward(self, x: torch.Tensor, steps: int, *, over_time: bool) -> torch.Tensor:
        """Return (N, 1 + steps * places, dim); the class token stands first, the others in order of time."""
        q, k, v = (heads_first(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        of_class = functional.scaled_dot_product_attention(q[:, :, :1], k, v)
        groups = (x.shape[1] - 1) // steps if over_time else steps

        def grouped(part: torch.Tensor) -> torch.Tensor:
            cells = part[:, :, 1:].reshape(*part.shape[:2], steps, -1, part.shape[-1])
            return cells.transpose(2, 3) if over_time else cells

        def with_class(part: torch.Tensor) -> torch.Tensor:
            first = part[:, :, None, :1].expand(-1, -1, groups, -1, -1)
            return torch.cat([first, grouped(part)], dim=3)

        of_cells = functional.scaled_dot_product_attention(grouped(q), with_class(k), with_class(v))
        if over_time:
            of_cells = of_cells.transpose(2, 3)
        seen = torch.cat([of_class, of_cells.flatten(2, 3)], dim=2)
        output: torch.Tensor = self.proj(heads_last(seen))
        return output


class _Block(nn.Module):
    """Attention over time, then over space, then an MLP; each behind a norm and added."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, EPS)
        self.attn = _DividedAttention(dim, heads)
        self.timeattn = _DividedAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, EPS)
        self.mlp = Mlp(dim)
        self.norm3 = nn.LayerNorm(dim, EPS)

    def forward(self, x: torch.Tensor, steps: int) -> torch.Tensor:
        x = x + self.timeattn(self.norm3(x), steps, over_time=True)
        x = x + self.attn(self.norm1(x), steps, over_time=False)
        output: torch.Tensor = x + self.mlp(self.norm2(x))
        return output


class VideoExtractor(nn.Module):
    """Features of segments of video: one for each two frames."""

    def __init__(self, sizes: SynchformerSizes) -> None:
        super().__init__()
        dim, patch = sizes.dim, sizes.patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + sizes.places, dim))
        self.temp_embed = nn.Parameter(torch.zeros(1, sizes.video_steps, dim))
        # Published and never used: what single images would go through.
        self.patch_embed = _Embedding(nn.Conv2d(3, dim, patch, patch))
        self.patch_embed_3d = _Embedding(nn.Conv3d(3, dim, (2, patch, patch), (2, patch, patch)))
        self.blocks = nn.ModuleList(_Block(dim, sizes.heads) for _ in range(sizes.depth))
        self.norm = nn.LayerNorm(dim, EPS)
        self.spatial_attn_agg = Aggregation(dim, sizes.heads)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Return (N, frames / 2, dim).

        Args:
            segments: (N, frames, 3, side, side) in [-1, 1].
        """
        patches = self.patch_embed_3d.proj(segments.transpose(1, 2))
        count, dim, steps = patches.shape[:3]
        cells = patches.flatten(3).permute(0, 2, 3, 1) + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(count, -1, -1)
        x = torch.cat([first, cells.flatten(1, 2)], dim=1)
        for block in self.blocks:
            x = block(x, steps)
        of_frames = self.norm(x[:, 1:]).reshape(count * steps, -1, dim)
        return self.spatial_attn_agg.gather(of_frames).reshape(count, steps, dim)
