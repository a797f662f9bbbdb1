"""Bradley-Terry ratings are the true ones, whatever the order and the side; and where none exists, none is made up."""

import dataclasses

import numpy as np
import pytest

from arena_kit import drawn_outcomes, drawn_votes, vote
from mova.evaluate.arena.ratings.bradley_terry import bradley_terry
from mova.evaluate.arena.ratings.outcomes import Cluster, collect
from mova.evaluate.arena.records import Criterion

TRUTH = np.asarray([1114.0, 1074.0, 925.0, 887.0])  # as in the paper's table, section 5.3


def rated(votes, models="abcd"):
    return bradley_terry(collect(votes, Criterion.OVERALL, tuple(models), Cluster.PROMPT))


def test_known_ratings_are_recovered():
    outcomes = drawn_outcomes(np.random.default_rng(0), TRUTH, prompts=2000, per_pair=2, likeness=50.0)
    found = bradley_terry(outcomes)
    assert [one.value for one in found] == pytest.approx(TRUTH, abs=12)
    assert sum(one.value for one in found) == pytest.approx(4000)
    assert [one.rank for one in found] == [1, 2, 3, 4]


def test_two_models_have_what_their_shares_say():
    votes = [vote(number, "a", "b", "left" if number < 75 else "right") for number in range(100)]
    one, other = rated(votes, "ab")
    assert one.value - other.value == pytest.approx(400 * np.log10(3))


def test_the_order_of_votes_does_not_matter():
    votes = drawn_votes(500, dict(zip("abcd", TRUTH, strict=True)))
    shuffled = [
        dataclasses.replace(votes[place], voted=f"2026-11-02T00:00:00.{number:06d}+00:00")
        for number, place in enumerate(np.random.default_rng(1).permutation(500))
    ]
    for one, other in zip(rated(votes), rated(shuffled), strict=True):
        assert one.value == other.value
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)


def test_the_side_does_not_matter():
    votes = drawn_votes(500, dict(zip("abcd", TRUTH, strict=True)))
    swap = {"left": "right", "right": "left"}
    swapped = [
        dataclasses.replace(
            one,
            left=one.right,
            right=one.left,
            answers={name: swap.get(answer, answer) for name, answer in one.answers.items()},
        )
        for one in votes
    ]
    again = [
        vote(
            0,
            one.left,
            one.right,
            one.answers[Criterion.OVERALL],
            ballot=one.ballot,
            prompt=one.prompt,
            rater=one.rater,
            voted=one.voted,
        )
        for one in swapped
    ]
    for one, other in zip(rated(votes), rated(again), strict=True):
        assert one.value == other.value
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)


def test_models_that_change_names_change_ratings():
    votes = drawn_votes(300, {"a": 1100, "b": 900})
    mirrored = [
        dataclasses.replace(one, left={"a": "b", "b": "a"}[one.left], right={"a": "b", "b": "a"}[one.right])
        for one in votes
    ]
    (one, other), (one_now, other_now) = rated(votes, "ab"), rated(mirrored, "ab")
    assert (one.value, other.value) == pytest.approx((other_now.value, one_now.value))


def beats(*pairs, each=8):
    return [
        vote(number, *pair.split(">"), "left")
        for number, pair in enumerate(pair for pair in pairs for _ in range(each))
    ]


@pytest.mark.parametrize(
    ("pairs", "reasons"),
    [
        (("a>b", "b>a", "c>a", "c>b"), {"c": "unbeaten", "d": "no votes"}),
        (("a>b", "b>a", "a>c", "b>c"), {"c": "winless", "d": "no votes"}),
        (("a>b", "b>a", "b>a", "c>d", "d>c"), {"c": "disconnected", "d": "disconnected"}),
        (("a>b", "b>a", "b>a", "c>d", "d>c", "a>c"), {"c": "separated: it has won no vote", "d": "separated"}),
        (("a>b", "b>a", "b>a", "c>d", "d>c", "c>a"), {"c": "separated: no vote against", "d": "separated"}),
        (("a>b", "b>c", "c>d"), {"a": "unbeaten", "b": "separated", "c": "separated", "d": "winless"}),
    ],
)
def test_where_no_rating_exists_it_is_said_why(pairs, reasons):
    found = {one.model: one for one in rated(beats(*pairs))}
    for model, reason in reasons.items():
        assert found[model].reason.startswith(reason)
        assert (found[model].value, found[model].low, found[model].rank) == (None, None, None)
    for model in set("abcd") - set(reasons):
        assert np.isfinite(found[model].value)


def test_no_vote_at_all():
    assert [one.reason for one in rated([])] == ["no votes"] * 4


def test_few_clusters_give_no_interval():
    votes = [dataclasses.replace(one, prompt=f"p{number % 4}") for number, one in enumerate(beats("a>b", "b>a"))]
    (one, _) = rated(votes, "ab")
    assert one.value == pytest.approx(1000)
    assert one.low is None
    assert "4 clusters, and at least 5" in one.reason


def test_ties_pull_ratings_together():
    assert rated([vote(number, "a", "b", "tie") for number in range(20)], "ab")[0].value == pytest.approx(1000)


def test_votes_that_are_alike_widen_the_interval():
    outcomes = drawn_outcomes(np.random.default_rng(3), TRUTH, prompts=40, per_pair=8, likeness=1.0)
    alone = dataclasses.replace(outcomes, cluster=np.arange(outcomes.size), num_clusters=outcomes.size)
    for one, other in zip(bradley_terry(outcomes), bradley_terry(alone), strict=True):
        assert one.value == other.value
        assert one.high - one.low > 1.5 * (other.high - other.low)


def covered(simulations, seed):
    hits = total = 0
    rng = np.random.default_rng(seed)
    for _ in range(simulations):
        for one, truth in zip(bradley_terry(drawn_outcomes(rng, TRUTH, prompts=60, per_pair=2)), TRUTH, strict=True):
            hits += one.low <= truth <= one.high
            total += 1
    return hits / total


def test_intervals_hold_what_they_state():
    assert 0.88 < covered(30, 0) <= 1.0


@pytest.mark.slow
def test_intervals_cover_93_to_97_percent():
    assert 0.93 <= covered(1000, 1) <= 0.97
