"""S3FD: faces of all sizes in one look, on six maps of a VGG.

Zhang et al., S3FD: Single Shot Scale-invariant Face Detector, 2017. Names of the tensors as in joonson/syncnet_python
(commit 6efbb1c, MIT). The file `s3fd-619a316812.pth` of face-alignment has other names and does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from mova.scorers.front_ends.boxes import overlapping
from mova.scorers.front_ends.opencv import scaled

STEPS: Final = (4, 8, 16, 32, 64, 128)
"""Pixels of the network's input between two cells of each map."""
SIZES: Final = (16, 32, 64, 128, 256, 512)
"""Pixels of the side of the face that a cell of each map begins with."""
SMALLEST: Final = 28
"""Pixels of the shorter side of an input of which the smallest map has a cell left."""
_VARIANCE: Final = (0.1, 0.2)
_MEAN: Final = (123.0, 117.0, 104.0)
"""Of red, green and blue."""
_MAPS: Final = (15, 22, 29, 34)
"""Layers of the VGG whose results are looked at."""
_BACKGROUNDS: Final = 3
"""Of the finest map: three numbers for the background, of which the largest counts."""
_PIXELS_AT_ONCE: Final = 160 * 90 * 8


@dataclass(frozen=True)
class FaceRules:
    """What counts as a face.

    Attributes:
        least: probability above which it does.
        scales: sizes at which frames are looked at, over their own.
        overlap: share of the union from which the surer of two faces takes the other away, over all scales.
        candidate_least: probability above which a box is a candidate.
        candidate_overlap: as `overlap`, among the candidates of one scale.
        most_candidates: of one scale, the surest first, before and after they take each other away.
    """

    least: float = 0.9
    scales: tuple[float, ...] = (0.25,)
    overlap: float = 0.1
    candidate_least: float = 0.05
    candidate_overlap: float = 0.3
    most_candidates: tuple[int, int] = (5000, 750)


class ScaledNorm(nn.Module):
    """Gives each cell the length 1, then each channel its weight.

    Args:
        channels: C.
        scale: weight of all of them at the beginning.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (N, C, h, w) of (N, C, h, w)."""
        # The small number is added behind the root, as published.
        length = hidden.square().sum(dim=1, keepdim=True).sqrt() + 1e-10
        return hidden / length * self.weight[:, None, None]


def _block(inputs: int, outputs: int, count: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index in range(count):
        layers += [nn.Conv2d(inputs if index == 0 else outputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return layers


def _pool(*, up: bool = False) -> nn.Module:
    return nn.MaxPool2d(2, 2, ceil_mode=up)


class S3FD(nn.Module):
    """The network alone; `detect_faces` makes boxes of what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.vgg = nn.Sequential(
            *(*_block(3, 64, 2), _pool(), *_block(64, 128, 2), _pool(), *_block(128, 256, 3), _pool(up=True)),
            *(*_block(256, 512, 3), _pool(), *_block(512, 512, 3), _pool()),
            *(nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU(inplace=True)),
            *(nn.Conv2d(1024, 1024, 1), nn.ReLU(inplace=True)),
        )
        self.L2Norm3_3 = ScaledNorm(256, 10.0)
        self.L2Norm4_3 = ScaledNorm(512, 8.0)
        self.L2Norm5_3 = ScaledNorm(512, 5.0)
        self.extras = nn.ModuleList(
            (
                nn.Conv2d(1024, 256, 1),
                nn.Conv2d(256, 512, 3, stride=2, padding=1),
                nn.Conv2d(512, 128, 1),
                nn.Conv2d(128, 256, 3, stride=2, padding=1),
            )
        )
        widths = (256, 512, 512, 1024, 512, 256)
        self.loc = nn.ModuleList(nn.Conv2d(width, 4, 3, padding=1) for width in widths)
        self.conf = nn.ModuleList(
            nn.Conv2d(width, 2 if index else _BACKGROUNDS + 1, 3, padding=1) for index, width in enumerate(widths)
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Look at images, all maps in one list: the fine ones first, rows before columns.

        Args:
            images: (N, 3, H, W) float32 in 0..255 without the mean, red first; both sides at least `SMALLEST`.

        Returns:
            (N, P, 4) how to move and stretch the P boxes that it begins with, (N, P, 2) probabilities of background
            and face, and (P, 4) those boxes as of `priors`.
        """
        maps = self._maps(images)
        moves = [_listed(head(one)) for head, one in zip(self.loc, maps, strict=True)]
        logits = [head(one) for head, one in zip(self.conf, maps, strict=True)]
        background = logits[0][:, :_BACKGROUNDS].amax(dim=1, keepdim=True)
        logits[0] = torch.cat([background, logits[0][:, _BACKGROUNDS:]], dim=1)
        chances = torch.cat([_listed(one) for one in logits], dim=1).softmax(dim=2)
        places = priors([(one.shape[2], one.shape[3]) for one in maps], (images.shape[2], images.shape[3]))
        return torch.cat(moves, dim=1), chances, places.to(images.device)

    def _maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        hidden, maps = images, []
        for index, layer in enumerate(self.vgg):
            hidden = layer(hidden)
            if index in _MAPS:
                # What follows each of them is a pool, which leaves its input as it is.
                maps.append(hidden)
        for index, layer in enumerate(self.extras):
            hidden = layer(hidden).relu()
            if index % 2:
                maps.append(hidden)
        norms = (self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3)
        return [*(norm(one) for norm, one in zip(norms, maps[:3], strict=True)), *maps[3:]]


def _listed(found: torch.Tensor) -> torch.Tensor:
    """Return (N, h * w, C) of (N, C, h, w)."""
    return found.flatten(2).transpose(1, 2)


def priors(maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> torch.Tensor:
    """Return the boxes that moves are said of: (P, 4) float32, x and y of the middle, width and height.

    Args:
        maps: (rows, columns) of each of the six maps.
        size: height and width of the network's input in pixels; all is said as shares of them.
    """
    height, width = size
    boxes = []
    for (rows, columns), step, side in zip(maps, STEPS, SIZES, strict=True):
        y, x = np.meshgrid(
            (np.arange(rows) + 0.5) * step / height, (np.arange(columns) + 0.5) * step / width, indexing="ij"
        )
        boxes.append(np.stack([x, y, np.full_like(x, side / width), np.full_like(x, side / height)], -1).reshape(-1, 4))
    return torch.from_numpy(np.concatenate(boxes).astype(np.float32))


def decoded(moves: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return boxes (..., 4): left, top, right, bottom as shares; of moves (..., 4) and places (..., 4) of `priors`."""
    middle = places[..., :2] + moves[..., :2] * _VARIANCE[0] * places[..., 2:]
    extent = places[..., 2:] * torch.exp(moves[..., 2:] * _VARIANCE[1])
    corner = middle - extent / 2
    return torch.cat([corner, corner + extent], dim=-1)


def detect_faces(network: S3FD, frames: np.ndarray, rules: FaceRules = FaceRules()) -> list[np.ndarray]:
    """Return the faces of each frame, the surest first.

    Args:
        network: with weights, set to evaluation.
        frames: (F, H, W, 3) uint8, red first. A frame whose shorter side is under `SMALLEST` at a scale has no face.
        rules: what counts as one.

    Returns:
        for each frame (N, 5) float64: left, top, right, bottom in pixels of the frame, and the probability. Boxes may
        reach beyond the frame.
    """
    found: list[list[np.ndarray]] = [[np.zeros((0, 5))] for _ in frames]
    for scale in rules.scales:
        for index, boxes in enumerate(_at_scale(network, frames, scale, rules)):
            found[index].append(boxes)
    faces = [np.concatenate(boxes) for boxes in found]
    return [boxes[overlapping(boxes, rules.overlap)] for boxes in faces]


def candidates(
    moves: torch.Tensor, chances: torch.Tensor, places: torch.Tensor, rules: FaceRules = FaceRules()
) -> np.ndarray:
    """Return the candidates of one image at one scale, the surest first.

    Args:
        moves: (P, 4) of `S3FD.forward`.
        chances: (P, 2) likewise.
        places: (P, 4) likewise.
        rules: what counts as one.

    Returns:
        (N, 5) float32: left, top, right, bottom as shares of width and height, and the probability.
    """
    likely = chances[:, 1] > rules.candidate_least
    boxes = torch.cat([decoded(moves[likely], places[likely]), chances[likely, 1:]], dim=1).cpu().numpy()
    first, last = rules.most_candidates
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")[:first]]
    return np.asarray(boxes[overlapping(boxes, rules.candidate_overlap)[:last]])


def _at_scale(network: S3FD, frames: np.ndarray, scale: float, rules: FaceRules) -> list[np.ndarray]:
    """Return boxes (N, 5) of each frame in its pixels, surer than `least`."""
    size = np.array([frames.shape[2], frames.shape[1]] * 2, np.float32)
    small = [scaled(frame, scale) for frame in frames]
    found: list[np.ndarray] = []
    if not small or min(small[0].shape[:2]) < SMALLEST:
        return [np.zeros((0, 5)) for _ in small]
    device = next(network.parameters()).device
    at_once = max(1, _PIXELS_AT_ONCE // (small[0].shape[0] * small[0].shape[1]))
    mean = torch.tensor(_MEAN, device=device)[:, None, None]
    for first in range(0, len(small), at_once):
        batch = torch.from_numpy(np.stack(small[first : first + at_once])).to(device)
        with torch.inference_mode():
            moves, chances, places = network(batch.permute(0, 3, 1, 2).float() - mean)
        for one_moves, one_chances in zip(moves, chances, strict=True):
            boxes = candidates(one_moves, one_chances, places, rules)
            sure = boxes[boxes[:, 4] > rules.least]
            found.append(np.concatenate([sure[:, :4] * size, sure[:, 4:]], axis=1).astype(np.float64))
    return found
