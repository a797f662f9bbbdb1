"""Wins, ties and losses, win rates, and sides."""

import pytest

from arena_kit import vote
from mova.evaluate.arena.ratings.outcomes import Cluster, collect
from mova.evaluate.arena.ratings.shares import duels, left_share, win_rates
from mova.evaluate.arena.records import Criterion


def outcomes(answers):
    votes = [vote(number, *(("a", "b") if number % 2 else ("b", "a")), answer) for number, answer in enumerate(answers)]
    return collect(votes, Criterion.OVERALL, ("a", "b", "c"), Cluster.PROMPT)


def test_wins_ties_and_losses_add_up():
    # a is right, left, right, ...
    one, other = duels(outcomes(["left", "left", "tie", "both_bad", "right", "right", "left"]))
    assert (one.model, one.opponent, one.wins, one.ties, one.losses, one.both_bad) == ("a", "b", 2, 2, 3, 1)
    assert (other.wins, other.ties, other.losses, other.both_bad) == (3, 2, 2, 1)
    assert one.total == 7
    assert one.win_rate.value == pytest.approx(3 / 7)
    assert one.win_rate.low < 3 / 7 < one.win_rate.high


def test_win_rates_of_all_models():
    found = win_rates(outcomes(["left", "left", "tie"]))
    assert [one.value for one in found] == [0.5, 0.5, None]


def test_a_side_that_is_preferred_is_found():
    found = left_share(outcomes(["left"] * 80 + ["right"] * 20 + ["tie"] * 50))
    assert found.value == pytest.approx(0.8)
    assert found.low > 0.5
    even = left_share(outcomes(["left", "right"] * 50))
    assert even.low <= 0.5 <= even.high
    assert left_share(outcomes(["tie"])).value is None
