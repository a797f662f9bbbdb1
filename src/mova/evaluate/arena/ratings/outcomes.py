"""Votes on one criterion as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mova.evaluate.arena.records import Answer, Criterion, Vote

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Cluster(StrEnum):
    """What is drawn as a whole for an interval: votes on one prompt, or of one rater, are alike."""

    PROMPT = "prompt"
    RATER = "rater"


@dataclass(frozen=True)
class Outcomes:
    """Votes on one criterion, in the order in which they came.

    Attributes:
        models: names, in the order of the arena or of the alphabet.
        left, right: numbers of the models, (V,).
        score: 1 where the left clip won, 0 where the right one did, else a half, (V,).
        is_bad: where both were called bad, which counts as a tie, (V,).
        cluster: number of each vote's prompt or rater, (V,).
        num_clusters: how many of these there are.
    """

    models: tuple[str, ...]
    left: IntArray
    right: IntArray
    score: FloatArray
    is_bad: NDArray[np.bool_]
    cluster: IntArray
    num_clusters: int

    @property
    def size(self) -> int:
        """How many votes."""
        return len(self.left)


_SCORES = {Answer.LEFT: 1.0, Answer.RIGHT: 0.0, Answer.TIE: 0.5, Answer.BOTH_BAD: 0.5}


def collect(votes: Sequence[Vote], criterion: Criterion, models: Sequence[str], cluster: Cluster) -> Outcomes:
    """Return the votes that have an answer to a criterion.

    Args:
        votes: all of them; they are put in the order in which they came.
        criterion: which answer is meant.
        models: all that may be named.
        cluster: what makes votes alike.
    """
    given = sorted((one for one in votes if criterion in one.answers), key=lambda one: (one.voted, one.ballot))
    number = {name: place for place, name in enumerate(models)}
    groups = [one.prompt if cluster is Cluster.PROMPT else one.rater for one in given]
    place_of = {name: place for place, name in enumerate(sorted(set(groups)))}
    return Outcomes(
        tuple(models),
        np.asarray([number[one.left] for one in given], np.int64),
        np.asarray([number[one.right] for one in given], np.int64),
        np.asarray([_SCORES[one.answers[criterion]] for one in given], np.float64),
        np.asarray([one.answers[criterion] is Answer.BOTH_BAD for one in given], np.bool_),
        np.asarray([place_of[name] for name in groups], np.int64),
        len(place_of),
    )
