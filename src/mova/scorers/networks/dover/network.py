"""Both branches of DOVER and what their scores mean together.

Names and arithmetic are those of the published network (Wu et al., Exploring video quality assessment on user
generated contents from aesthetic and technical perspectives, 2023; VQAssessment/DOVER, DOVER.pth; licence S-Lab 1.0,
which forbids commercial use).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import nn

from mova.scorers.networks.dover.convnext import VideoConvNext
from mova.scorers.networks.dover.swin import VideoSwin

_HIDDEN: Final = 64
# Mean and spread of either score over the videos that the original was fitted to, and its share of the whole.
_TECHNICAL: Final = (0.1107, 0.07355, 0.6104)
_AESTHETIC: Final = (-0.08285, 0.03774, 0.3896)


class DoverScores(NamedTuple):
    """What DOVER says of a video, each from 0 to 1.

    Attributes:
        aesthetic: how well it is composed.
        technical: how free of faults it is.
        overall: of both.
    """

    aesthetic: float
    technical: float
    overall: float


class DoverNetwork(nn.Module):
    """The technical branch looks at fragments, the aesthetic one at whole frames; each has a head of its own.

    Args:
        technical: other than the published backbone.
        aesthetic: other than the published backbone.
        width: channels of their features.
    """

    def __init__(
        self, technical: VideoSwin | None = None, aesthetic: VideoConvNext | None = None, width: int = 768
    ) -> None:
        super().__init__()
        self.technical_backbone = technical or VideoSwin()
        self.aesthetic_backbone = aesthetic or VideoConvNext()
        self.technical_head, self.aesthetic_head = DoverHead(width), DoverHead(width)

    def technical(self, fragments: torch.Tensor) -> torch.Tensor:
        """Return the map (B, 1, T / 2, H / 32, W / 32) of the technical score of clips (B, 3, T, H, W), normalised."""
        scores: torch.Tensor = self.technical_head(self.technical_backbone(fragments))
        return scores

    def aesthetic(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the map (B, 1, T / 2, H / 32, W / 32) of the aesthetic score of clips (B, 3, T, H, W), normalised."""
        scores: torch.Tensor = self.aesthetic_head(self.aesthetic_backbone(frames))
        return scores


class DoverHead(nn.Module):
    """Two convolutions of one token each.

    Args:
        width: channels of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_hid = nn.Conv3d(width, _HIDDEN, 1)
        self.fc_last = nn.Conv3d(_HIDDEN, 1, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, 1, T, H, W) scores of features (B, C, T, H, W)."""
        scores: torch.Tensor = self.fc_last(nn.functional.gelu(self.fc_hid(features)))
        return scores


def fused(*, technical: float, aesthetic: float) -> DoverScores:
    """Return the scores from 0 to 1 of the mean scores of a video's clips, which two official files order differently.

    Args:
        technical: mean of the technical map.
        aesthetic: mean of the aesthetic map.
    """
    parts = [(raw - mean) / spread for raw, (mean, spread, _) in ((technical, _TECHNICAL), (aesthetic, _AESTHETIC))]
    whole = _TECHNICAL[2] * parts[0] + _AESTHETIC[2] * parts[1]
    return DoverScores(_logistic(parts[1]), _logistic(parts[0]), _logistic(whole))


def _logistic(number: float) -> float:
    if number >= 0:
        return 1.0 / (1.0 + math.exp(-number))
    grown = math.exp(number)
    return grown / (1.0 + grown)
