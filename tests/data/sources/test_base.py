"""Hashes that clips are found by."""

from mova.data.sources.base import digest, fraction


def test_values_do_not_run_together():
    assert digest("a", "bc") != digest("ab", "c")
    assert digest("a", 1.5) == digest("a", 1.5)


def test_fractions_fill_the_unit_interval():
    draws = [fraction("clip", index) for index in range(2000)]
    assert 0 <= min(draws) < 0.01
    assert 0.99 < max(draws) < 1
    assert abs(sum(draws) / 2000 - 0.5) < 0.03
