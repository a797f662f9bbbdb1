"""Bootstrap intervals: how far a mean over clips could be off because there were only so many clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

NUM_RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
SEED: Final = 20_260


@dataclass(frozen=True)
class Estimate:
    """A figure over clips.

    Attributes:
        value: the figure, None where no clip has what it measures.
        low, high: 95 % bootstrap interval over clips.
        num_clips: how many clips it is over.
    """

    value: float | None
    low: float | None
    high: float | None
    num_clips: int

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return asdict(self)


def mean(values: Sequence[float]) -> Estimate:
    """Return the mean of one value per clip."""
    return ratio(values, np.ones(len(values)))


def ratio(numerators: Sequence[float] | FloatArray, denominators: Sequence[float] | FloatArray) -> Estimate:
    """Return sum over sum, of one pair per clip: a share of all events, with clips drawn as wholes."""
    parts, wholes = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if not wholes.sum():
        return Estimate(None, None, None, len(parts))
    drawn = np.random.default_rng(SEED).integers(len(parts), size=(NUM_RESAMPLES, len(parts)))
    sums = wholes[drawn].sum(axis=1)
    resampled = parts[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    return _estimate(float(parts.sum() / wholes.sum()), resampled, len(parts))


def of_pooled(values: Sequence[Sequence[float]], figure: Callable[[FloatArray], float]) -> Estimate:
    """Return a figure of all values of all clips together, with clips drawn as wholes.

    Args:
        values: any number of values for each clip.
        figure: statistic of at least one value, such as a median.
    """
    clips = [np.asarray(clip, np.float64) for clip in values]
    pooled = np.concatenate(clips) if clips else np.zeros(0)
    if not pooled.size:
        return Estimate(None, None, None, len(clips))
    rng = np.random.default_rng(SEED)
    resampled = []
    for _ in range(NUM_RESAMPLES):
        drawn = np.concatenate([clips[index] for index in rng.integers(len(clips), size=len(clips))])
        if drawn.size:
            resampled.append(figure(drawn))
    return _estimate(figure(pooled), np.asarray(resampled), len(clips))


def _estimate(value: float, resampled: FloatArray, num_clips: int) -> Estimate:
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), num_clips)
