"""What metrics see of known harm: values at each strength, rank correlation, whether they are monotone, and a verdict.

The rule, which was written down before any figure was there:

* A metric is **not applicable** where fewer than half of the clips have a value as they are, or with the harm done.
* Else it **sees** the harm when the whole 95 % interval of its rank correlation with the strength lies beyond 0.5, and
  the mean at the strongest harm is away from that of unspoilt clips by half of their standard deviation or more.
* It sees it **weakly** when that interval leaves out 0, the correlation is 0.2 or more, and the mean moves by a tenth
  of that deviation or more. Else it **misses** it.
* It goes the **wrong way** where it sees the harm, or sees it weakly, and calls the worse clip the better one.

The correlation is the mean over clips of Spearman's correlation of each clip's values with the strength: 0 for a clip
whose value never changes. Where there is one strength, it is the share of clips that get a higher value, less that of
those that get a lower one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from scipy.stats import spearmanr

from mova.evaluate import stats
from mova.evaluate.stats import Estimate
from mova.scorers.base import Direction

from .spoiling import UNSPOILT, Spoiling

SURE, WEAK = 0.5, 0.2
LARGE, SMALL = 0.5, 0.1
Values = Mapping[tuple[str, float], float]
"""Values of one metric for one clip, by what was done to it; what has none is not there."""


class Verdict(StrEnum):
    """What a metric sees of one way to spoil a clip."""

    SEES = "sees"
    WEAKLY = "weakly"
    MISSES = "misses"
    WRONG_WAY = "wrong way"
    NOT_APPLICABLE = "not applicable"


class Monotone(StrEnum):
    """Whether the mean follows the strength.

    Attributes:
        YES: no step goes back.
        WITHIN_ERROR: a step goes back by no more than its paired interval allows.
        NO: a step goes back by more.
        FLAT: nothing ever changes.
    """

    YES = "yes"
    WITHIN_ERROR = "within error"
    NO = "no"
    FLAT = "flat"


@dataclass(frozen=True)
class Seen:
    """What a metric sees of one way to spoil a clip.

    Attributes:
        metric: its name.
        spoiling: the way.
        means: mean over clips at each strength, none first; None where fewer than half of the clips have a value.
        correlation: mean over clips of the rank correlation with the strength.
        change: difference of the means of the strongest harm and of none, in standard deviations of the clips as they
            are; infinite where these are all alike.
        monotone: whether the mean follows the strength.
        first: the least strength at which the mean of paired differences is sure to be away from 0; None where there is
            none.
        num_clips: how many clips have a value as they are.
        verdict: by the rule.
    """

    metric: str
    spoiling: Spoiling
    means: tuple[float | None, ...]
    correlation: Estimate
    change: float
    monotone: Monotone
    first: float | None
    num_clips: int
    verdict: Verdict


def seen_by(metric: str, direction: Direction, spoiling: Spoiling, clips: Sequence[Values]) -> Seen:
    """Return what a metric sees.

    Args:
        metric: its name.
        direction: which of its values are better.
        spoiling: what was done to clips.
        clips: values of each clip.
    """
    curves = [_curve(values, spoiling) for values in clips]
    strengths = spoiling.strengths
    least = max(2, math.ceil(len(clips) / 2))
    columns = [[curve[one] for curve in curves if one in curve] for one in strengths]
    means = tuple(float(np.mean(column)) if len(column) >= least else None for column in columns)
    pairs = [(curve[0.0], curve[strengths[-1]]) for curve in curves if {0.0, strengths[-1]} <= set(curve)]
    found = [one for one in (_correlation(values, spoiling) for values in clips) if one is not None]
    correlation = stats.mean(found)
    if means[0] is None or len(found) < least or sum(mean is not None for mean in means) < 2:
        return Seen(
            metric, spoiling, means, correlation, 0.0, Monotone.FLAT, None, len(columns[0]), Verdict.NOT_APPLICABLE
        )
    change = _change(columns[0], pairs, means)
    return Seen(
        metric,
        spoiling,
        means,
        correlation,
        change,
        _monotone(curves, strengths, least),
        _first(curves, strengths, least),
        len(columns[0]),
        _verdict(correlation, change, direction),
    )


def best_shift(spoiling: Spoiling, clips: Sequence[Values], *, lowest: bool = False) -> tuple[float, float] | None:
    """Return the shift in ms at which the mean over clips is best, and that mean; None where there is none.

    Args:
        spoiling: with levels to both sides.
        clips: values of each clip.
        lowest: whether low values are better.
    """
    means = {level: mean for level, mean in shift_means(spoiling, clips).items() if mean.value is not None}
    if not means:
        return None
    sign = -1.0 if lowest else 1.0
    # Of equal ones the smallest shift.
    level = max(means, key=lambda one: (sign * (means[one].value or 0.0), -abs(one)))
    return level, means[level].value or 0.0


def shift_means(spoiling: Spoiling, clips: Sequence[Values]) -> dict[float, Estimate]:
    """Return the mean over clips at each shift in ms, in order, with its interval."""
    found = {}
    for level in sorted({0.0, *spoiling.levels}):
        key = (spoiling.name, level) if level else (UNSPOILT, 0.0)
        found[level] = stats.mean([values[key] for values in clips if key in values])
    return found


def _curve(values: Values, spoiling: Spoiling) -> dict[float, float]:
    """Return the value at each strength; of both sides the mean."""
    found: dict[float, list[float]] = {}
    if (UNSPOILT, 0.0) in values:
        found[0.0] = [values[UNSPOILT, 0.0]]
    for level in spoiling.levels:
        if (spoiling.name, level) in values:
            found.setdefault(spoiling.strength(level), []).append(values[spoiling.name, level])
    return {strength: float(np.mean(both)) for strength, both in found.items()}


def _correlation(values: Values, spoiling: Spoiling) -> float | None:
    """Return Spearman's correlation of one clip; None where it has no value as it is, or no other."""
    if (UNSPOILT, 0.0) not in values:
        return None
    points = [(0.0, values[UNSPOILT, 0.0])]
    points += [
        (spoiling.strength(level), values[spoiling.name, level])
        for level in spoiling.levels
        if (spoiling.name, level) in values
    ]
    strengths, found = (np.asarray(part) for part in zip(*points, strict=True))
    if len(points) < 2:
        return None
    if len(points) == 2:
        # Of two points the correlation is the sign of the step, and scipy's p-value a division by zero.
        return float(np.sign(found[1] - found[0]))
    # A constant has no ranks: nothing was seen.
    return 0.0 if np.ptp(found) == 0 else float(spearmanr(strengths, found).statistic)


def _change(clean: Sequence[float], pairs: Sequence[tuple[float, float]], means: Sequence[float | None]) -> float:
    if len(pairs) >= max(2, len(clean) // 2):
        moved = float(np.mean([after - before for before, after in pairs]))
    else:
        known = [mean for mean in means if mean is not None]
        moved = known[-1] - known[0]
    spread = float(np.std(clean, ddof=1)) if len(clean) > 1 else 0.0
    # What rounding leaves of equal values is no spread and no move.
    if spread <= 1e-9 * max(1.0, float(np.abs(clean).max())):
        return 0.0 if abs(moved) <= 1e-9 else math.copysign(math.inf, moved)
    return moved / spread


def _steps(curves: Sequence[Mapping[float, float]], one: float, other: float) -> list[float]:
    return [curve[other] - curve[one] for curve in curves if one in curve and other in curve]


def _monotone(curves: Sequence[Mapping[float, float]], strengths: Sequence[float], least: int) -> Monotone:
    known = [one for one in strengths if sum(one in curve for curve in curves) >= least]
    steps = [stats.mean(_steps(curves, one, other)) for one, other in pairwise(known)]
    moves = [step for step in steps if step.value]
    if not moves:
        return Monotone.FLAT
    whole = stats.mean(_steps(curves, known[0], known[-1])).value or 0.0
    back = [step for step in moves if math.copysign(1.0, step.value or 0.0) != math.copysign(1.0, whole)]
    sure = [step for step in back if (step.low or 0.0) > 0 or (step.high or 0.0) < 0]
    return Monotone.NO if sure else Monotone.WITHIN_ERROR if back else Monotone.YES


def _first(curves: Sequence[Mapping[float, float]], strengths: Sequence[float], least: int) -> float | None:
    for strength in strengths[1:]:
        steps = _steps(curves, 0.0, strength)
        if len(steps) >= least:
            step = stats.mean(steps)
            if (step.low or 0.0) > 0 or (step.high or 0.0) < 0:
                return strength
    return None


def _verdict(correlation: Estimate, change: float, direction: Direction) -> Verdict:
    value, low, high = (part or 0.0 for part in (correlation.value, correlation.low, correlation.high))
    nearest = min(abs(low), abs(high)) if low * high > 0 else 0.0
    moves_along = value * change > 0
    if nearest >= SURE and abs(change) >= LARGE and moves_along:
        verdict = Verdict.SEES
    elif nearest > 0 and abs(value) >= WEAK and abs(change) >= SMALL and moves_along:
        verdict = Verdict.WEAKLY
    else:
        return Verdict.MISSES
    counts_as_better = {Direction.HIGHER: value > 0, Direction.LOWER: value < 0, Direction.NEITHER: False}
    return Verdict.WRONG_WAY if counts_as_better[direction] else verdict
