"""Video Swin transformer of DOVER's technical branch, with biases that know fragments (Wu et al., FAST-VQA, 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from mova.scorers.networks.dover.windows import (
    ACROSS,
    Volume,
    fitted,
    fragment_distance,
    joined,
    relative_index,
    shift_mask,
    split,
    table_rows,
)

_EXPANSION: Final = 4
NO_SHIFT: Final = (0, 0, 0)


class VideoSwin(nn.Module):
    """Tokens of 2 x 4 x 4 pixels that attend to each other within windows, in stages of half the size each.

    Args:
        width: channels of the first stage; each later one has twice as many.
        depths: blocks of each stage.
        heads: of attention in each stage.
        window: in which tokens attend to each other.
        fragments: whether a stage's biases tell fragments apart.
    """

    def __init__(
        self,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: Volume = (8, 7, 7),
        fragments: Sequence[bool] = (True, True, True, False),
    ) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(width, (2, 4, 4))
        last = len(depths) - 1
        self.layers = nn.ModuleList(
            _Stage(width * 2**index, depth, count, window, tells, index < last)
            for index, (depth, count, tells) in enumerate(zip(depths, heads, fragments, strict=True))
        )
        self.norm = nn.LayerNorm(width * 2**last)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Return features (B, C, T', H', W') of a video (B, 3, T, H, W), normalised."""
        tokens = self.patch_embed(video)
        for layer in self.layers:
            tokens = layer(tokens)
        features: torch.Tensor = self.norm(tokens)
        return features.permute(0, 4, 1, 2, 3)


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int, patch: Volume) -> None:
        super().__init__()
        self._patch = patch
        self.proj = nn.Conv3d(3, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Return tokens (B, T', H', W', C); what is no multiple of a patch is filled up with zeros."""
        embedded = self.proj(_filled(video, self._patch, 2))
        tokens: torch.Tensor = self.norm(embedded.permute(0, 2, 3, 4, 1))
        return tokens


class _Stage(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, window: Volume, tells_fragments: bool, halves: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(width, heads, window, tells_fragments, is_shifted=index % 2 == 1) for index in range(depth)
        )
        self.downsample = _Merging(width) if halves else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return tokens if self.downsample is None else self.downsample(tokens)


class _Merging(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return four neighbours in one token: (B, T, H, W, C) to (B, T, H / 2, W / 2, 2 C)."""
        even = _filled(tokens, (1, 2, 2), 1)
        four = [even[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged: torch.Tensor = self.reduction(self.norm(torch.cat(four, -1)))
        return merged


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, window: Volume, tells_fragments: bool, *, is_shifted: bool) -> None:
        super().__init__()
        self._window, self._is_shifted = window, is_shifted
        self.norm1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads, window, tells_fragments)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self._attended(self.norm1(tokens))
        changed: torch.Tensor = tokens + self.mlp(self.norm2(tokens))
        return changed

    def _attended(self, tokens: torch.Tensor) -> torch.Tensor:
        _, *there, _ = tokens.shape
        time, height, width = there
        window, shift = fitted(self._window, (time, height, width))
        if not self._is_shifted:
            shift = NO_SHIFT
        full = _filled(tokens, window, 1)
        size = (full.shape[1], full.shape[2], full.shape[3])
        shifted = torch.roll(full, [-offset for offset in shift], (1, 2, 3)) if any(shift) else full
        mask = shift_mask(size, window, shift).to(tokens) * ACROSS if any(shift) else None
        apart = fragment_distance(size, window, shift).to(tokens)
        found = joined(self.attn(split(shifted, window), apart, mask), window, size)
        if any(shift):
            found = torch.roll(found, shift, (1, 2, 3))
        return found[:, :time, :height, :width]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: Volume, tells_fragments: bool) -> None:
        super().__init__()
        self._heads = heads
        rows = table_rows(window)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.fragment_position_bias_table = nn.Parameter(torch.zeros(rows, heads)) if tells_fragments else None
        self.relative_position_index: torch.Tensor
        self.register_buffer("relative_position_index", relative_index(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor, apart: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Return (B * N, L, C) of the same.

        Args:
            tokens: (B * N, L, C) in windows.
            apart: (N, L, L) of `fragment_distance`.
            mask: (N, L, L), added; None where no window is shifted.
        """
        total, length, width = tokens.shape
        query, key, value = self.qkv(tokens).reshape(total, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        added = self._biases(length, apart)
        if mask is not None:
            added = added + mask[:, None]
        # (1 or N, heads, L, L) repeats for each clip of the batch, whose windows follow each other.
        windows = len(added)
        shape = (-1, windows, self._heads, length, width // self._heads)
        attended = nn.functional.scaled_dot_product_attention(
            query.reshape(shape), key.reshape(shape), value.reshape(shape), attn_mask=added[None]
        )
        merged = attended.reshape(total, self._heads, length, -1).transpose(1, 2).reshape(total, length, width)
        out: torch.Tensor = self.proj(merged)
        return out

    def _biases(self, length: int, apart: torch.Tensor) -> torch.Tensor:
        """Return (1 or N, heads, L, L).

        A window that was fitted to a small video takes the first rows and columns of the index, as the original does.
        """
        index = self.relative_position_index[:length, :length]
        relative = self.relative_position_bias_table[index].permute(2, 0, 1)[None]
        if self.fragment_position_bias_table is None:
            return relative
        within = self.fragment_position_bias_table[index].permute(2, 0, 1)[None]
        # The original weighs by the distance itself, so that far fragments count more than once.
        return relative * apart[:, None] + within * (1 - apart[:, None])


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, _EXPANSION * width)
        self.fc2 = nn.Linear(_EXPANSION * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc2(nn.functional.gelu(self.fc1(tokens)))
        return out


def _filled(video: torch.Tensor, multiple: Volume, first_axis: int) -> torch.Tensor:
    """Return a video with zeros behind its three axes so that they are multiples."""
    missing = [
        -length % factor for length, factor in zip(video.shape[first_axis : first_axis + 3], multiple, strict=True)
    ]
    if not any(missing):
        return video
    behind = [0, 0] * (video.ndim - first_axis - 3)
    return nn.functional.pad(video, [*behind, *(part for length in reversed(missing) for part in (0, length))])
