"""Elo as the paper has it (arXiv 2602.08794, section 5.3): start 1000, K 4, scale 400, base 10, 1,000 bootstraps.

It depends on the order of votes, and is there to be compared with published tables; `bradley_terry` is what ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mova.evaluate.arena.ratings.outcomes import FloatArray, IntArray, Outcomes

START: Final = 1000.0
K: Final = 4.0
SCALE: Final = 400.0
NUM_BOOTSTRAPS: Final = 1000
SEED: Final = 20_260
_RATE: Final = float(np.log(10.0)) / SCALE


@dataclass(frozen=True)
class EloRating:
    """A model's Elo.

    Attributes:
        model: its name.
        value: after all votes in their order; None without votes.
        median, low, high: of votes that were drawn again; the last two hold 95 %.
    """

    model: str
    value: float | None
    median: float | None
    low: float | None
    high: float | None


def elo_ratings(outcomes: Outcomes, num_bootstraps: int = NUM_BOOTSTRAPS) -> tuple[EloRating, ...]:
    """Return the Elo of every model.

    Args:
        outcomes: votes, in their order.
        num_bootstraps: how often votes are drawn again, with replacement, in an order of their own.
    """
    size = outcomes.size
    if not size:
        return tuple(EloRating(model, None, None, None, None) for model in outcomes.models)
    order = np.arange(size)[None]
    drawn = np.random.default_rng(SEED).integers(size, size=(num_bootstraps, size))
    value = _run(outcomes, order)[0]
    spread = np.quantile(_run(outcomes, drawn), [0.5, 0.025, 0.975], axis=0)
    voted = set(outcomes.left.tolist()) | set(outcomes.right.tolist())
    return tuple(
        EloRating(model, float(value[place]), *(float(one) for one in spread[:, place]))
        if place in voted
        else EloRating(model, None, None, None, None)
        for place, model in enumerate(outcomes.models)
    )


def _run(outcomes: Outcomes, order: IntArray) -> FloatArray:
    """Return ratings (B, models) after votes in each of several orders (B, V)."""
    models = len(outcomes.models)
    ratings = np.full(len(order) * models, START)
    rows = np.arange(len(order)) * models
    steps = np.ascontiguousarray(order.T)
    for step in steps:
        one, other = rows + outcomes.left[step], rows + outcomes.right[step]
        ahead = ratings[other] - ratings[one]
        change = K * (outcomes.score[step] - 1.0 / (1.0 + np.exp(ahead * _RATE)))
        ratings[one] += change
        ratings[other] -= change
    return ratings.reshape(len(order), models)
