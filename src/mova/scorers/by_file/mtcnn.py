"""Where faces are: three small networks, each of which looks closer at what the one before let through.

Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks, 2016.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import nn

from mova.scorers.by_file.files import MTCNN
from mova.scorers.front_ends.boxes import overlapping

LEAST: Final = (0.6, 0.7, 0.7)
"""Probability from which each network lets a face through."""
_CELL: Final = 12
_STRIDE: Final = 2
_PYRAMID: Final = 0.709


class _Network(nn.Module):
    """Convolutions with PReLU and pooling, then dense layers or none, then heads; parts are named as in the files."""

    def __init__(
        self,
        convolutions: tuple[tuple[int, int, int], ...],
        pools: tuple[int, ...],
        heads: tuple[tuple[str, int], ...],
        dense: tuple[str, int, int] | None,
    ) -> None:
        super().__init__()
        self._pools = pools
        self._trunk = [f"conv{index}" for index in range(1, len(convolutions) + 1)]
        self._dense = dense and dense[0]
        self._heads = [name for name, _ in heads]
        for index, (inputs, outputs, kernel) in enumerate(convolutions, 1):
            self.add_module(f"conv{index}", nn.Conv2d(inputs, outputs, kernel))
            self.add_module(f"prelu{index}", nn.PReLU(outputs))
        if dense is not None:
            name, inputs, outputs = dense
            self.add_module(name, nn.Linear(inputs, outputs))
            self.add_module(name.replace("dense", "prelu"), nn.PReLU(outputs))
        for name, outputs in heads:
            width = dense[2] if dense is not None else convolutions[-1][1]
            self.add_module(name, nn.Linear(width, outputs) if dense is not None else nn.Conv2d(width, outputs, 1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the probability of a face and how to move the four sides, in shares of width and height."""
        hidden = images
        for name, pool in zip(self._trunk, self._pools, strict=True):
            hidden = self.get_submodule(name.replace("conv", "prelu"))(self.get_submodule(name)(hidden))
            if pool:
                hidden = nnf.max_pool2d(hidden, pool, 2, ceil_mode=True)
        if self._dense is not None:
            # The weights come from a framework in which columns run first.
            hidden = hidden.permute(0, 3, 2, 1).flatten(1)
            hidden = self.get_submodule(self._dense.replace("dense", "prelu"))(self.get_submodule(self._dense)(hidden))
        chance, move = (self.get_submodule(name)(hidden) for name in self._heads[:2])
        return chance.softmax(dim=1)[:, 1], move


def _networks() -> tuple[_Network, _Network, _Network]:
    return (
        _Network(((3, 10, 3), (10, 16, 3), (16, 32, 3)), (2, 0, 0), (("conv4_1", 2), ("conv4_2", 4)), None),
        _Network(
            ((3, 28, 3), (28, 48, 3), (48, 64, 2)),
            (3, 3, 0),
            (("dense5_1", 2), ("dense5_2", 4)),
            ("dense4", 576, 128),
        ),
        _Network(
            ((3, 32, 3), (32, 64, 3), (64, 64, 3), (64, 128, 2)),
            (3, 3, 2, 0),
            # Five landmarks come with the third network; nothing reads them.
            (("dense6_1", 2), ("dense6_2", 4), ("dense6_3", 10)),
            ("dense5", 1152, 256),
        ),
    )


def find_faces(frame: np.ndarray, folder: Path, smallest: int = 24) -> np.ndarray:
    """Return the faces of a frame, the surest first.

    Args:
        frame: (H, W, 3) uint8.
        folder: with the three files.
        smallest: side in pixels of the smallest face that is looked for, at least 12.

    Returns:
        (N, 5) float64: left, top, right, bottom in pixels and the probability.
    """
    first, second, third = _loaded(folder)
    image = (torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1)[None] - 127.5) / 128.0
    with torch.inference_mode():
        boxes = _proposals(first, image, _CELL / smallest)
        for network, size, least in ((second, 24, LEAST[1]), (third, 48, LEAST[2])):
            boxes = _refined(network, image, boxes, size, least, last=network is third)
    return np.asarray(boxes[np.argsort(-boxes[:, 4], kind="stable")])


def _proposals(network: _Network, image: torch.Tensor, scale: float) -> np.ndarray:
    """Return square boxes (N, 5) that the first network takes for faces, at all sizes."""
    height, width = image.shape[2:]
    found = [np.zeros((0, 9))]
    while min(height, width) * scale >= _CELL:
        small = nnf.interpolate(image, (int(height * scale + 1), int(width * scale + 1)), mode="area")
        chance, move = network(small)
        rows, columns = (part.numpy() for part in torch.nonzero(chance[0] >= LEAST[0], as_tuple=True))
        corner = np.stack([columns, rows], axis=1) * _STRIDE + 1.0
        sides = np.floor(np.concatenate([corner, corner + _CELL - 1], axis=1) / scale)
        scores = chance[0, rows, columns].numpy()[:, None]
        boxes = np.concatenate([sides, scores, move[0][:, rows, columns].numpy().T], axis=1)
        found.append(boxes[overlapping(boxes[:, :5], 0.5, corner_pixels=True)])
        scale *= _PYRAMID
    boxes = np.concatenate(found)
    boxes = boxes[overlapping(boxes[:, :5], 0.7, corner_pixels=True)]
    return _square(_moved(boxes[:, :5], boxes[:, 5:], plus=0))


def _refined(
    network: _Network, image: torch.Tensor, boxes: np.ndarray, size: int, least: float, *, last: bool
) -> np.ndarray:
    """Return what a closer look lets through of boxes (N, 5): better placed, and square but for the last look."""
    height, width = image.shape[2:]
    sides = np.stack(
        [boxes[:, 0].clip(1), boxes[:, 1].clip(1), boxes[:, 2].clip(max=width), boxes[:, 3].clip(max=height)], axis=1
    ).astype(int)
    inside = (sides[:, 2] > sides[:, 0]) & (sides[:, 3] > sides[:, 1])
    boxes, sides = boxes[inside], sides[inside]
    if not len(boxes):
        return np.zeros((0, 5))
    parts = [image[:, :, top - 1 : bottom, left - 1 : right] for left, top, right, bottom in sides]
    chance, move = network(torch.cat([nnf.interpolate(part, (size, size), mode="area") for part in parts]))
    scores, moves = chance.numpy().astype(np.float64), move.numpy().astype(np.float64)
    passed = scores >= least
    boxes = np.concatenate([boxes[passed, :4], scores[passed, None]], axis=1)
    moves = moves[passed]
    if last:
        boxes = _moved(boxes, moves, plus=1)
        return np.asarray(boxes[overlapping(boxes, 0.7, over_smaller=True, corner_pixels=True)])
    stay = overlapping(boxes, 0.7, corner_pixels=True)
    return _square(_moved(boxes[stay], moves[stay], plus=1))


def _moved(boxes: np.ndarray, moves: np.ndarray, *, plus: int) -> np.ndarray:
    extent = np.tile(boxes[:, 2:4] - boxes[:, :2] + plus, 2)
    return np.concatenate([boxes[:, :4] + moves * extent, boxes[:, 4:5]], axis=1)


def _square(boxes: np.ndarray) -> np.ndarray:
    """Return boxes that are as wide as they are high, around the same middle."""
    extent = boxes[:, 2:4] - boxes[:, :2]
    side = extent.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + 0.5 * extent - 0.5 * side
    return np.concatenate([corner, corner + side, boxes[:, 4:5]], axis=1)


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> tuple[_Network, ...]:
    """Return the networks with their weights; nothing in the files is executed."""
    loaded = []
    for network, file in zip(_networks(), MTCNN, strict=True):
        network.load_state_dict(torch.load(folder / file.name, map_location="cpu", weights_only=True))
        loaded.append(network.eval())
    return tuple(loaded)
