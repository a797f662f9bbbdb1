"""Sounds cut into windows of one length, the last one filled up with silence."""

from __future__ import annotations

import numpy as np


def windows_of(sound: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return windows (N, samples) of a sound, one behind the other, and how much of each is sound: (N,) int64.

    Args:
        sound: (S,) with one sample or more.
        samples: of a window.

    Raises:
        ValueError: the sound is empty.
    """
    if not len(sound):
        raise ValueError("a sound must have a sample, got none")
    count = -(-len(sound) // samples)
    filled = np.pad(sound, (0, count * samples - len(sound))).reshape(count, samples)
    lengths = np.full(count, samples, np.int64)
    lengths[-1] = len(sound) - (count - 1) * samples
    return filled, lengths
