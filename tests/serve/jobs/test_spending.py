"""Seconds of video of each key, in a span."""

import pytest

from mova.serve.jobs.spending import Spending
from serve_kit import Clock, opened


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spending(empty_url, clock):
    with opened(empty_url, clock) as store:
        yield Spending(store.database, clock, 100.0)


def test_seconds_are_had_until_none_are_left_and_again_later(spending, clock):
    assert spending.spend("a", 6.0, 10.0)[0]
    assert spending.spend("a", 6.0, 10.0) == ("", 4.0)
    assert spending.spend("b", 6.0, 10.0)[0]
    clock.now += 50
    assert spending.spend("a", 4.0, 10.0)[0]
    clock.now += 50
    assert spending.spend("a", 7.0, 10.0) == ("", 6.0)
    assert spending.spend("a", 6.0, 10.0)[0]


def test_what_came_to_nothing_is_given_back(spending):
    name, _ = spending.spend("a", 10.0, 10.0)
    spending.refund(name)
    spending.refund("nothing")
    assert spending.spend("a", 10.0, 10.0) != ("", 0.0)
