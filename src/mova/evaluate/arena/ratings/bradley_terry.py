"""Bradley-Terry ratings: the most likely ones given all votes, whatever their order, with intervals.

P(a before b) = 1 / (1 + 10 ** ((R_b - R_a) / 400)); a tie counts half a win for each. Only differences mean anything:
the mean of the rated models is 1000. Sources: Bradley and Terry, Biometrika 39, 324 (1952); for when a most likely
rating exists, Ford, American Mathematical Monthly 64, 28 (1957): each model must have won, or tied, against some other
one in every split of the models in two. Where it does not, no number is given, and it is said why.

Intervals are those of a sandwich estimator with clusters (Liang and Zeger, Biometrika 73, 13 (1986)), Student's t with
one degree of freedom less than clusters: votes on one prompt, or of one rater, are alike, and count as what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import MissingExtraError, NumericalError
from mova.evaluate.arena.ratings.outcomes import FloatArray, IntArray, Outcomes

MEAN: Final = 1000.0
SCALE: Final = 400.0
CONFIDENCE: Final = 0.95
LEAST_CLUSTERS: Final = 5
_PER_NAT: Final = SCALE / np.log(10.0)
_MOST_ROUNDS: Final = 100_000
_TOLERANCE: Final = 1e-12


@dataclass(frozen=True)
class Rating:
    """A model's Bradley-Terry rating.

    Attributes:
        model: its name.
        num_votes: on pairs with it.
        value: None where none exists; then `reason` says why.
        low, high: 95 % interval; None where there is no value, or too few clusters, as `reason` says.
        rank: 1 and the number of models whose interval lies above this one's; None without intervals.
        reason: "" where nothing is missing.
    """

    model: str
    num_votes: int
    value: float | None
    low: float | None
    high: float | None
    rank: int | None
    reason: str


def bradley_terry(outcomes: Outcomes) -> tuple[Rating, ...]:
    """Return the rating of every model, or why it has none.

    Raises:
        MissingExtraError: evalica is not installed.
        NumericalError: the ratings that were found do not fit the votes.
    """
    number = len(outcomes.models)
    wins = np.zeros((number, number))
    np.add.at(wins, (outcomes.left, outcomes.right), outcomes.score)
    np.add.at(wins, (outcomes.right, outcomes.left), 1.0 - outcomes.score)
    votes = (wins + wins.T).sum(axis=1).round().astype(int)
    rated = _largest_group(wins)
    if rated is None:
        return tuple(
            Rating(model, int(votes[place]), None, None, None, None, _why_not(place, wins, None))
            for place, model in enumerate(outcomes.models)
        )
    nats = _fit(wins[np.ix_(rated, rated)])
    half, why = _half_widths(outcomes, rated, nats)
    values = MEAN + _PER_NAT * nats
    found = {}
    for place, key in enumerate(rated.tolist()):
        value = float(values[place])
        low, high = (None, None) if half is None else (value - float(half[place]), value + float(half[place]))
        rank = None if half is None else 1 + int((values - half > value + half[place]).sum())
        found[key] = Rating(outcomes.models[key], int(votes[key]), value, low, high, rank, why)
    return tuple(
        found.get(place) or Rating(model, int(votes[place]), None, None, None, None, _why_not(place, wins, rated))
        for place, model in enumerate(outcomes.models)
    )


def _reached(links: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which model leads to which, directly or through others; each to itself."""
    reach = links | np.eye(len(links), dtype=np.bool_)
    for _ in range(len(links).bit_length()):
        reach = (reach.astype(np.int64) @ reach.astype(np.int64)) > 0
    return reach


def _largest_group(wins: FloatArray) -> IntArray | None:
    """Return the models of which each has won against each other one, directly or through others; most votes first."""
    reach = _reached(wins > 0)
    mutual = reach & reach.T
    best: IntArray | None = None
    most = 0.0
    for row in mutual:
        group = np.flatnonzero(row)
        votes = wins[np.ix_(group, group)].sum()
        if len(group) > 1 and votes > most:
            best, most = group, votes
    return best


def _why_not(place: int, wins: FloatArray, rated: IntArray | None) -> str:
    won, lost = wins[place].sum(), wins[:, place].sum()
    if won + lost == 0:
        return "no votes"
    if rated is not None and not _reached((wins + wins.T) > 0)[place, rated].any():
        return "disconnected: never compared, directly or through others, with the models that are rated"
    if lost == 0:
        return "unbeaten: it has won every vote, so that no rating is high enough"
    if won == 0:
        return "winless: it has lost every vote, so that no rating is low enough"
    reach = _reached(wins > 0)
    if rated is not None and reach[place, rated].any():
        return "separated: no vote against it, direct or through others, came from the models that are rated"
    if rated is not None:
        return "separated: it has won no vote against the models that are rated, directly or through others"
    return "separated: wherever the models are split, one side has won every vote"


def _fit(wins: FloatArray) -> FloatArray:
    """Return the most likely ratings of models that all have won against each other, in natural units, their mean 0."""
    pd_index, evalica = _import_evalica()
    one, other = np.nonzero(wins)
    found = evalica.bradley_terry(
        one.tolist(),
        other.tolist(),
        [evalica.Winner.X] * len(one),
        index=pd_index(range(len(wins))),
        weights=wins[one, other].tolist(),
        tolerance=_TOLERANCE,
        limit=_MOST_ROUNDS,
    )
    scores = found.scores.reindex(range(len(wins))).to_numpy(np.float64)
    if not (np.isfinite(scores).all() and (scores > 0).all()):
        raise NumericalError("Bradley-Terry scores must be finite and positive; evalica gave others")
    nats = np.log(scores)
    for _ in range(50):
        # Newton's steps from there: its iteration ends by the change of the scores, not by how well they fit.
        gap, curvature = _slope(wins, nats)
        if np.abs(gap).max() < 1e-9 * wins.sum():
            break
        nats = nats + _inverse(curvature) @ gap
    else:
        raise NumericalError(
            "Bradley-Terry ratings must fit the votes; those of evalica do not, and could not be mended"
        )
    centred: FloatArray = nats - nats.mean()
    return centred


def _slope(wins: FloatArray, nats: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return wins beyond those expected of each model, (n,), and minus the second derivative of the likelihood."""
    counts = wins + wins.T
    share = 1.0 / (1.0 + np.exp(nats[None] - nats[:, None]))
    weight = counts * share * (1.0 - share)
    return (wins - counts * share).sum(axis=1), np.diag(weight.sum(axis=1)) - weight


def _inverse(curvature: FloatArray) -> FloatArray:
    """Return the inverse among ratings whose sum is 0: to raise them all changes nothing."""
    size = len(curvature)
    centred = np.eye(size) - 1.0 / size
    inverse: FloatArray = centred @ np.linalg.inv(curvature + np.trace(curvature) / size**2) @ centred
    return inverse


def _half_widths(outcomes: Outcomes, rated: IntArray, nats: FloatArray) -> tuple[FloatArray | None, str]:
    """Return half the width of each interval, in rating points; or None and why there is none."""
    from scipy.special import stdtrit

    place_of = np.full(len(outcomes.models), -1)
    place_of[rated] = np.arange(len(rated))
    left, right = place_of[outcomes.left], place_of[outcomes.right]
    inside = (left >= 0) & (right >= 0)
    left, right, score = left[inside], right[inside], outcomes.score[inside]
    names, cluster = np.unique(outcomes.cluster[inside], return_inverse=True)
    least = max(LEAST_CLUSTERS, len(rated) + 1)
    if len(names) < least:
        return None, f"no interval: votes come from {len(names)} clusters, and at least {least} are needed"
    share = 1.0 / (1.0 + np.exp(nats[right] - nats[left]))
    gaps = np.zeros((len(names), len(rated)))
    np.add.at(gaps, (cluster, left), score - share)
    np.add.at(gaps, (cluster, right), share - score)
    weight = share * (1.0 - share)
    curvature = np.zeros((len(rated), len(rated)))
    for rows, columns, sign in ((left, left, 1), (right, right, 1), (left, right, -1), (right, left, -1)):
        np.add.at(curvature, (rows, columns), sign * weight)
    bread = _inverse(curvature)
    spread = bread @ (gaps.T @ gaps) @ bread * len(names) / (len(names) - 1)
    quantile = float(stdtrit(len(names) - 1, (1.0 + CONFIDENCE) / 2.0))
    return quantile * _PER_NAT * np.sqrt(np.maximum(np.diag(spread), 0.0)), ""


def _import_evalica() -> tuple[Any, Any]:
    try:
        import evalica
        from pandas import RangeIndex
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "evalica", "arena") from error
    return RangeIndex, evalica
