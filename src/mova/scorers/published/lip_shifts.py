"""How far lips and speech are apart: distances of their embeddings at every shift, as SyncNet's evaluation has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

MOST_SHIFT: Final = 15
"""Frames at 25 per second by which the speech is moved to both sides."""
_ADDED: Final = 1e-6


@dataclass(frozen=True)
class LipSync:
    """What was found for one person.

    Attributes:
        offset_frames: frames by which the speech comes too early; negative where it comes too late.
        confidence: LSE-C, how much smaller the smallest mean distance is than the median of all shifts.
        distance: LSE-D, the smallest mean distance.
    """

    offset_frames: int
    confidence: float
    distance: float


def shift_distances(lips: np.ndarray, speech: np.ndarray, most: int = MOST_SHIFT) -> np.ndarray:
    """Return distances at every shift: (2 * most + 1, N) float32; row `most + s` compares lips i with speech i + s.

    Where the speech has no window i + s, lips are compared with zeros, as published.

    Args:
        lips: (N, D) embeddings.
        speech: (N, D) likewise.
        most: shifts to each side.
    """
    padded = np.pad(speech, ((most, most), (0, 0)))
    rows = []
    for shift in range(2 * most + 1):
        # A small number is added to every difference, as torch does in its pairwise distance.
        difference = lips - padded[shift : shift + len(lips)] + np.float32(_ADDED)
        rows.append(np.sqrt(np.square(difference, dtype=np.float64).sum(axis=1)))
    return np.asarray(rows, dtype=np.float32)


def lip_sync(distances: np.ndarray) -> LipSync:
    """Return what distances (2 * most + 1, N) of `shift_distances` say; N at least 1."""
    means = distances.mean(axis=1, dtype=np.float64)
    best = int(means.argmin())
    return LipSync(len(means) // 2 - best, float(np.median(means) - means[best]), float(means[best]))
