"""Who wins how often against whom, and how often the left clip wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mova.evaluate.arena.ratings.outcomes import FloatArray, Outcomes
from mova.evaluate.stats import Estimate, ratio


@dataclass(frozen=True)
class Duel:
    """Votes between two models, from the first one's side.

    Attributes:
        model, opponent: names.
        wins, ties, losses: how many; of the ties, `both_bad` were pairs that were both called bad.
        both_bad: how many.
        win_rate: wins and half the ties over all, with an interval over clusters.
    """

    model: str
    opponent: str
    wins: int
    ties: int
    losses: int
    both_bad: int
    win_rate: Estimate

    @property
    def total(self) -> int:
        """All votes."""
        return self.wins + self.ties + self.losses


def duels(outcomes: Outcomes) -> tuple[Duel, ...]:
    """Return each two models with votes between them, in both directions."""
    found = []
    for one, model in enumerate(outcomes.models):
        for other, opponent in enumerate(outcomes.models):
            is_left = (outcomes.left == one) & (outcomes.right == other)
            is_right = (outcomes.left == other) & (outcomes.right == one)
            held = is_left | is_right
            if one == other or not held.any():
                continue
            score = np.where(is_left, outcomes.score, 1.0 - outcomes.score)[held]
            found.append(
                Duel(
                    model,
                    opponent,
                    int((score == 1.0).sum()),
                    int((score == 0.5).sum()),
                    int((score == 0.0).sum()),
                    int(outcomes.is_bad[held].sum()),
                    _by_cluster(outcomes, held, score),
                )
            )
    return tuple(found)


def win_rates(outcomes: Outcomes) -> tuple[Estimate, ...]:
    """Return for each model its wins and half its ties over all its votes; not corrected for whom it met."""
    found = []
    for number in range(len(outcomes.models)):
        held = (outcomes.left == number) | (outcomes.right == number)
        score = np.where(outcomes.left == number, outcomes.score, 1.0 - outcomes.score)[held]
        found.append(_by_cluster(outcomes, held, score))
    return tuple(found)


def left_share(outcomes: Outcomes) -> Estimate:
    """Return how often the left clip won, of the votes that one clip won: a half, where the side does not matter."""
    held = outcomes.score != 0.5
    return _by_cluster(outcomes, held, outcomes.score[held])


def _by_cluster(outcomes: Outcomes, held: np.ndarray, score: FloatArray) -> Estimate:
    clusters, place = np.unique(outcomes.cluster[held], return_inverse=True)
    parts, wholes = np.zeros(len(clusters)), np.zeros(len(clusters))
    np.add.at(parts, place, score)
    np.add.at(wholes, place, 1.0)
    return ratio(parts, wholes)
