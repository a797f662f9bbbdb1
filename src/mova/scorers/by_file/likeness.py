"""How alike the clips of a set are in a space of embeddings, for example in voice."""

from __future__ import annotations

import numpy as np


def mean_cosine(vectors: np.ndarray) -> float | None:
    """Return the mean cosine between the clips of a set, 1 for clips that are all alike.

    Args:
        vectors: (N, D), one for each clip. A clip that comes more than once counts once.

    Returns:
        None for fewer than two different vectors that are not zero.
    """
    own = np.unique(np.asarray(vectors, np.float64), axis=0)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    unit = (own / np.where(lengths > 0, lengths, 1.0))[lengths[:, 0] > 0]
    count = len(unit)
    if count < 2:
        return None
    # The square of the sum holds each pair twice and each vector with itself once.
    return float((np.square(unit.sum(axis=0)).sum() - count) / (count * (count - 1)))
