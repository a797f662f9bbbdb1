"""Weights for lip sync without a download: SyncNet as recorded, and a detector that finds faces at known places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from mova.scorers.networks.s3fd import S3FD
from scorer_records import open_record


def faces_at(boxes: Sequence[tuple[float, float, float, float]]) -> dict[str, torch.Tensor]:
    """Return weights of a detector that finds the same faces in every frame.

    Each face is said by the first cell of a map of its own, one of the two coarsest, so that there may be two: other
    cells of the map have a cell before or above them, which takes their face away.

    Args:
        boxes: (x and y of the middle, width, height) in pixels of the frame, none to two.
    """
    state = {name: torch.zeros_like(tensor) for name, tensor in S3FD().state_dict().items()}
    for index in range(6):
        # Background and face; the finest map has three backgrounds.
        state[f"conf.{index}.bias"][-1] = 8.0 if index >= 6 - len(boxes) else -8.0
    for number, (x, y, width, height) in enumerate(boxes):
        index = 5 - number
        step, side = 4 * 2**index, 16 * 2**index
        moves = ((x / 4 - step / 2) / (0.1 * side), (y / 4 - step / 2) / (0.1 * side))
        stretches = (math.log(width / 4 / side) / 0.2, math.log(height / 4 / side) / 0.2)
        state[f"loc.{index}.bias"] = torch.tensor([*moves, *stretches])
        state[f"extras.{3 - 2 * number}.bias"][0] = 1.0
        state[f"conf.{index}.weight"][-1, 0, 0, 1] = state[f"conf.{index}.weight"][-1, 0, 1, 0] = -40.0
    return state


def write_lip_weights(folder: Path, boxes: Sequence[tuple[float, float, float, float]]) -> Path:
    """Write both files and return the folder.

    Args:
        folder: made where it is not there.
        boxes: as in `faces_at`.
    """
    folder.mkdir(exist_ok=True)
    torch.save(open_record("syncnet").state_dict(), folder / "syncnet_v2.model", _use_new_zipfile_serialization=False)
    torch.save(faces_at(boxes), folder / "sfd_face.pth")
    return folder
