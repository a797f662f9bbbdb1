"""ConvNeXt of DOVER's aesthetic branch, made three-dimensional: every third block of a stage looks along time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import nn

_EPS: Final = 1e-6
_EXPANSION: Final = 4
_TIMES: Final = (1, 3, 1)
"""Frames that the depthwise convolutions of a stage look at, in turns."""


class VideoConvNext(nn.Module):
    """Stages of half the height and width each; time is halved once, at the beginning.

    Args:
        depths: blocks of each stage.
        widths: channels of each stage.
    """

    def __init__(self, depths: Sequence[int] = (3, 3, 9, 3), widths: Sequence[int] = (96, 192, 384, 768)) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv3d(3, widths[0], (2, 4, 4), (2, 4, 4)), _ChannelNorm(widths[0], eps=_EPS))
        self.downsample_layers = nn.ModuleList([stem])
        for narrow, wide in pairwise(widths):
            halving = nn.Conv3d(narrow, wide, (1, 2, 2), (1, 2, 2))
            self.downsample_layers.append(nn.Sequential(_ChannelNorm(narrow, eps=_EPS), halving))
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(width, _TIMES[index % len(_TIMES)]) for index in range(depth)))
            for depth, width in zip(depths, widths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=_EPS)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Return features (B, C, T', H', W') of a video (B, 3, T, H, W), normalised."""
        for halving, stage in zip(self.downsample_layers, self.stages, strict=True):
            video = stage(halving(video))
        features: torch.Tensor = self.norm(video.permute(0, 2, 3, 4, 1))
        return features.permute(0, 4, 1, 2, 3)


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, T, H, W)."""

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = super().forward(video.permute(0, 2, 3, 4, 1))
        return last.permute(0, 4, 1, 2, 3)


class _Block(nn.Module):
    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv3d(width, width, (times, 7, 7), padding=(times // 2, 3, 3), groups=width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.pwconv1 = nn.Linear(width, _EXPANSION * width)
        self.pwconv2 = nn.Linear(_EXPANSION * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        inner = self.norm(self.dwconv(video).permute(0, 2, 3, 4, 1))
        inner = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(inner)))
        changed: torch.Tensor = video + inner.permute(0, 4, 1, 2, 3)
        return changed
