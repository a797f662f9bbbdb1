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


def mean_of_categories(values: Sequence[float], categories: Sequence[str]) -> Estimate:
    """Return the mean of the categories' means, which weighs a small category like a large one.

    Args:
        values: one for each clip.
        categories: of the clips. Clips are drawn within their category.
    """
    groups: dict[str, list[float]] = {}
    for value, category in zip(values, categories, strict=True):
        groups.setdefault(category, []).append(value)
    if not groups:
        return Estimate(None, None, None, 0)
    rng = np.random.default_rng(SEED)
    resampled, whole = np.zeros(NUM_RESAMPLES), 0.0
    for group in (np.asarray(own, np.float64) for own in groups.values()):
        whole += float(group.mean()) / len(groups)
        drawn = rng.integers(len(group), size=(NUM_RESAMPLES, len(group)))
        resampled += group[drawn].mean(axis=1) / len(groups)
    return _estimate(whole, resampled, len(values))


def of_set(size: int, figure: Callable[[NDArray[np.int64]], float | None], num_resamples: int = 200) -> Estimate:
    """Return a figure that belongs to a set of clips and to none of them alone, such as the Inception Score.

    Args:
        size: number of clips.
        figure: of the clips of these numbers, which may come more than once; None where they have none.
        num_resamples: sets that are drawn for the interval. A clip that is drawn twice makes a set look less rich than
            it is, so that all of them are off to one side: the interval has their spread, and lies around the figure.
    """
    return mean_of_sets([size], [figure], num_resamples)


def mean_of_sets(
    sizes: Sequence[int],
    figures: Sequence[Callable[[NDArray[np.int64]], float | None]],
    num_resamples: int = 200,
) -> Estimate:
    """Return the mean of the figures of several sets; those that have none are left out. Clips stay in their set.

    Args:
        sizes: number of clips of each.
        figures: of each, as in `of_set`.
        num_resamples: draws for the interval.
    """
    values = [figure(np.arange(size)) if size else None for size, figure in zip(sizes, figures, strict=True)]
    known = [number for number, value in enumerate(values) if value is not None]
    if not known:
        return Estimate(None, None, None, sum(sizes))
    value = float(np.mean([values[number] for number in known]))
    rng = np.random.default_rng(SEED)
    drawn = []
    for _ in range(num_resamples):
        parts = [figures[number](rng.integers(sizes[number], size=sizes[number])) for number in known]
        found = [part for part in parts if part is not None]
        if len(found) == len(known):
            drawn.append(float(np.mean(found)))
    if not drawn:
        return Estimate(value, None, None, sum(sizes))
    spread = np.asarray(drawn, np.float64)
    return _estimate(value, spread + (value - spread.mean()), sum(sizes))


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
