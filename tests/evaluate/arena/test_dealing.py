"""Pairs with few votes come first, sides are drawn, and nobody sees a pair twice."""

from collections import Counter

import pytest

from mova.evaluate.arena.contents import Ballot, Clip
from mova.evaluate.arena.dealing import Dealer


def clips(models=3, prompts=4):
    return [
        Clip(1 + prompt * models + model, model, prompt, 0, f"{model}{prompt}", 1.0)
        for prompt in range(prompts)
        for model in range(models)
    ]


def dealt(dealer, raters, each):
    found = []
    for number in range(each):
        for rater in range(raters):
            ballot = dealer.deal(rater, f"{rater} {number}", float(number), 1e6)
            dealer.voted(ballot.id)
            found.append(ballot)
    return found


def test_pairs_and_duels_are_shown_equally_often():
    dealer = Dealer(clips(), (), 0.0, seed=1)
    assert dealer.num_pairs == 12
    found = dealt(dealer, raters=5, each=12)
    pairs = Counter(frozenset((one.left_clip, one.right_clip)) for one in found)
    assert set(pairs.values()) == {5}
    first = Counter(frozenset((one.left_clip % 3, one.right_clip % 3)) for one in found[:6])
    assert set(first.values()) == {2}, "models meet equally often from the start"


def test_a_rater_sees_every_pair_once_and_then_none():
    dealer = Dealer(clips(), (), 0.0, seed=2)
    found = dealt(dealer, raters=1, each=12)
    assert len({frozenset((one.left_clip, one.right_clip)) for one in found}) == 12
    assert dealer.left_for(0) == 0
    assert dealer.deal(0, "more", 0.0, 1.0) is None
    assert dealer.left_for(1) == 12


def test_sides_are_drawn_by_chance():
    dealer = Dealer(clips(2, 1), (), 0.0, seed=3)
    sides = Counter(one.left_clip for one in dealt(dealer, raters=400, each=1))
    assert set(sides) == {1, 2}
    assert 150 < sides[1] < 250


def test_an_open_ballot_is_given_again_until_it_expires():
    dealer = Dealer(clips(), (), 0.0, seed=4)
    ballot = dealer.deal(7, "one", 0.0, 60.0)
    assert dealer.open_for(7, 59.0) == ballot
    assert dealer.open_for(8, 59.0) is None
    assert dealer.open_for(7, 60.0) is None
    assert dealer.left_for(7) == 12, "it may be shown again"


@pytest.mark.parametrize("end", ["voted", "withdraw"])
def test_a_ballot_that_is_used_or_taken_back_is_not_open(end):
    dealer = Dealer(clips(), (), 0.0, seed=5)
    dealer.deal(7, "one", 0.0, 60.0)
    getattr(dealer, end)("one")
    assert dealer.open_for(7, 1.0) is None
    assert dealer.left_for(7) == (11 if end == "voted" else 12)


def test_it_goes_on_with_what_was_given_out_before():
    before = [
        (Ballot("voted", 1, 1, 2, 0.0, 10.0), True),
        (Ballot("gone", 1, 4, 5, 0.0, 10.0), False),
        (Ballot("open", 1, 8, 7, 15.0, 99.0), False),
    ]
    dealer = Dealer(clips(), before, 20.0, seed=6)
    assert dealer.left_for(1) == 10
    assert dealer.open_for(1, 20.0).id == "open"
    assert {1, 2} != {(one := dealer.deal(2, "x", 20.0, 60.0)).left_clip, one.right_clip}
