"""Elo equals a plain recomputation."""

from dataclasses import replace

import numpy as np
import pytest

from arena_kit import drawn_votes
from mova.evaluate.arena.ratings.elo import SEED, elo_ratings
from mova.evaluate.arena.ratings.outcomes import Cluster, collect
from mova.evaluate.arena.records import Criterion

TRUTH = {"a": 1100, "b": 1000, "c": 900}
OUTCOMES = collect(drawn_votes(400, TRUTH), Criterion.OVERALL, ("a", "b", "c", "unseen"), Cluster.PROMPT)


def plain(order, outcomes=OUTCOMES):
    ratings = [1000.0] * 4
    for place in order:
        one, other, score = outcomes.left[place], outcomes.right[place], outcomes.score[place]
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


@pytest.mark.slow
def test_ten_thousand_votes_and_a_thousand_bootstraps_equal_a_plain_recomputation():
    outcomes = collect(drawn_votes(10_000, TRUTH), Criterion.OVERALL, ("a", "b", "c", "unseen"), Cluster.PROMPT)
    found = elo_ratings(outcomes)
    assert [one.value for one in found[:3]] == pytest.approx(plain(range(10_000), outcomes)[:3], abs=1e-8)
    drawn = np.random.default_rng(SEED).integers(10_000, size=(1000, 10_000))
    lists = replace(outcomes, left=outcomes.left.tolist(), right=outcomes.right.tolist(), score=outcomes.score.tolist())
    runs = np.asarray([plain(order.tolist(), lists) for order in drawn])
    for name, share in (("median", 0.5), ("low", 0.025), ("high", 0.975)):
        expected = np.quantile(runs, share, axis=0)[:3]
        assert [getattr(one, name) for one in found[:3]] == pytest.approx(expected, abs=1e-8)
