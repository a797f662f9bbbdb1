"""Elo equals a plain recomputation."""

import numpy as np
import pytest

from arena_kit import drawn_votes
from mova.evaluate.arena.ratings.elo import SEED, elo_ratings
from mova.evaluate.arena.ratings.outcomes import Cluster, collect
from mova.evaluate.arena.records import Criterion

TRUTH = {"a": 1100, "b": 1000, "c": 900}
OUTCOMES = collect(drawn_votes(400, TRUTH), Criterion.OVERALL, ("a", "b", "c", "unseen"), Cluster.PROMPT)


def plain(order):
    ratings = [1000.0] * 4
    for place in order:
        one, other, score = OUTCOMES.left[place], OUTCOMES.right[place], OUTCOMES.score[place]
        expected = 1 / (1 + 10 ** ((ratings[other] - ratings[one]) / 400))
        change = 4 * (score - expected)
        ratings[one] += change
        ratings[other] -= change
    return ratings


def test_it_equals_a_plain_recomputation():
    found = elo_ratings(OUTCOMES, 20)
    assert [one.value for one in found[:3]] == pytest.approx(plain(range(400))[:3], abs=1e-9)
    drawn = np.random.default_rng(SEED).integers(400, size=(20, 400))
    runs = np.asarray([plain(order) for order in drawn])
    assert [one.median for one in found[:3]] == pytest.approx(np.median(runs, axis=0)[:3], abs=1e-9)
    assert [one.low for one in found[:3]] == pytest.approx(np.quantile(runs, 0.025, axis=0)[:3], abs=1e-9)


def test_a_model_without_votes_has_none():
    assert elo_ratings(OUTCOMES, 5)[3].value is None
    nothing = collect([], Criterion.OVERALL, ("a", "b"), Cluster.PROMPT)
    assert [one.value for one in elo_ratings(nothing)] == [None, None]


def test_points_are_neither_made_nor_lost():
    assert sum(one.value for one in elo_ratings(OUTCOMES, 5)[:3]) == pytest.approx(3000)
