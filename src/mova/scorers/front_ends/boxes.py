"""Boxes around faces: how much two have in common, and which of many stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def overlapping(
    boxes: np.ndarray, most: float, *, over_smaller: bool = False, corner_pixels: bool = False
) -> np.ndarray:
    """Return the indices (K,) of boxes that stay when each takes away those that it covers, the surest first.

    Args:
        boxes: (N, 5) left, top, right, bottom, probability.
        most: share of the union that two boxes may have in common.
        over_smaller: the share is of the smaller of the two instead.
        corner_pixels: right and bottom are numbers of pixels inside the box, as MTCNN counts, and no edges behind it.
    """
    plus = 1 if corner_pixels else 0
    area = (boxes[:, 2] - boxes[:, 0] + plus) * (boxes[:, 3] - boxes[:, 1] + plus)
    order = np.argsort(-boxes[:, 4], kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[order, :2], boxes[best, :2])
        high = np.minimum(boxes[order, 2:4], boxes[best, 2:4])
        common = np.maximum(high - low + plus, 0).prod(axis=1)
        whole = np.minimum(area[order], area[best]) if over_smaller else area[order] + area[best] - common
        order = order[common <= most * whole]
    return np.asarray(kept, dtype=np.int64)


def shared_part(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the share of the union of two boxes (left, top, right, bottom) that both cover; 0 where both are empty."""
    # Of plain numbers: it is asked for each pair of faces in turn, and arrays of four take ten times as long.
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    whole = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - common
    return common / whole if whole > 0 else 0.0
