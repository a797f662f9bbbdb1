"""How values are spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.curate.report.spread import Spread
from mova.pages.charts import Line
from mova.scorers.base import Direction, Measure

MEASURE = Measure("blur", "px", Direction.LOWER, "Width of edges.")


def spread_of(*parts, lines=()):
    spread = Spread(MEASURE, lines)
    for part in parts:
        spread.look(np.asarray(part, dtype=np.float64))
    for part in parts:
        spread.count(np.asarray(part, dtype=np.float64))
    return spread.result()


NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)


@given(st.lists(st.lists(NUMBERS | st.just(np.nan), max_size=50), min_size=1, max_size=5))
def test_every_value_is_in_one_bin(parts):
    found = spread_of(*parts)
    values = [value for part in parts for value in part if not np.isnan(value)]
    assert found.num_values == sum(found.counts) == len(values)
    if values:
        assert all(b > a for a, b in zip(found.edges, found.edges[1:], strict=False))
        assert (found.least, found.most) == (min(values), max(values))


def test_values_that_are_all_the_same_have_room():
    for value in (0.0, 5.0, -1e-9, 1e9):
        found = spread_of([value] * 3)
        assert found.edges[0] < value < found.edges[-1]


def test_a_value_far_away_does_not_press_the_others_together():
    found = spread_of(np.append(np.linspace(0, 1, 999), 1e9))
    assert found.edges[-1] < 10
    assert sum(found.counts) == 1000
    assert found.most == 1e9
    assert sum(number > 0 for number in found.counts) > 10


def test_a_threshold_that_is_near_is_in_sight_and_one_that_is_not_is_not():
    near = spread_of(np.linspace(0, 1, 100), lines=[Line(1.5, True, "")])
    assert near.edges[-1] > 1.5
    far = spread_of(np.linspace(0, 1, 100), lines=[Line(1e6, True, "")])
    assert far.edges[-1] < 10


def test_no_bin_holds_clips_of_both_sides_of_a_threshold():
    found = spread_of(np.linspace(0, 1, 100), lines=[Line(0.3333, True, ""), Line(0.8001, False, "")])
    assert {0.3333, 0.8001} <= set(found.edges)
    assert list(found.edges) == sorted(set(found.edges))


def test_the_median_of_many_values_is_that_of_a_sample_of_all_of_them():
    values = np.random.default_rng(0).normal(size=100_000)
    found = spread_of(*np.array_split(values, 37))
    assert found.median == pytest.approx(np.median(values), abs=0.05)
    assert found == spread_of(values)


def test_reasons_are_counted_the_most_frequent_first():
    spread = Spread(MEASURE, ())
    for number in range(600):
        spread.miss(f"failed: error {number}")
    spread.miss("not applicable: no speech", 7)
    absences = spread.result().absences
    assert absences[0] == ("failed", 100)
    assert absences[1] == ("not applicable", 7)
    assert len(absences) <= 502
