"""The value of a measure of a set of clips, with how many of them went into it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SetScore:
    """What a set of clips gives together.

    Attributes:
        value: a finite number, or None.
        reason: "" exactly where there is a value; else why there is none.
        scored: clips that went into it.
        total: clips of the set, those without a vector among them.
        remark: what a reader must know of the value, "" where there is nothing: a bias, how many splits.
    """

    value: float | None
    reason: str = ""
    scored: int = 0
    total: int = 0
    remark: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"a score must have either a value or a reason, got {self.value!r} and {self.reason!r}")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a score must be finite, got {self.value}; say why there is none instead")


def finite_rows(rows: np.ndarray) -> np.ndarray:
    """Return the rows of (N, D) whose numbers are all finite, as float64: NaN and infinity never enter."""
    numbers = np.asarray(rows, dtype=np.float64)
    return numbers[np.isfinite(numbers).all(axis=1)]


def as_rows(vectors: np.ndarray, what: str) -> np.ndarray:
    """Return vectors (N, D) as they are; none at all may have any shape.

    Raises:
        ValueError: they are not a table.
    """
    rows = np.asarray(vectors)
    if rows.size == 0:
        return np.zeros((len(rows) if rows.ndim == 2 else 0, rows.shape[1] if rows.ndim == 2 else 0))
    if rows.ndim != 2:
        raise ValueError(f"{what} must be one vector a clip, (N, D), got shape {rows.shape}")
    return rows
