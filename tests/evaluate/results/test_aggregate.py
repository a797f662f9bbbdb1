"""Figures over clips: means, categories, pooled rates, sets, and honest counts."""

import numpy as np
import pytest

from evaluated_clips import made_up, plan_of
from mova.evaluate.results.aggregate import aggregate
from mova.evaluate.results.derived import PooledRate, SetFigure
from mova.evaluate.results.rows import Aggregation
from mova.scorers.base import Direction

PLAN = plan_of("motion")


def test_a_mean_is_over_what_has_a_value_and_says_of_how_many():
    [row] = aggregate(made_up(PLAN, [1.0, 3.0, None, 8.0]), PLAN).rows
    assert (row.estimate.value, row.median, row.estimate.num_clips, row.num_total) == (4.0, 3.0, 3, 4)
    assert row.estimate.low < 4.0 < row.estimate.high
    assert row.reasons == {"failed: made up": 1}
    assert row.category_mean is None
    assert row.by_category == {}


def test_categories_weigh_alike_in_their_mean():
    [row] = aggregate(made_up(PLAN, [1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"]), PLAN).rows
    assert row.estimate.value == 2.0
    assert row.category_mean.value == 3.0
    assert {name: one.value for name, one in row.by_category.items()} == {"a": 1.0, "b": 5.0}


def test_no_value_at_all_is_no_figure():
    results = aggregate(made_up(PLAN, [None, None], ["a", "b"]), PLAN)
    [row] = results.rows
    assert row.estimate.value is row.estimate.low is row.median is None
    assert row.category_mean.value is None
    assert results.clips[0].reasons == {"motion": "failed: made up: of this clip"}


def test_counts_are_pooled_and_have_no_row_of_their_own():
    plan = plan_of("spectrum")
    first, second = (one.name for one in plan.measures["spectrum"])
    rate = PooledRate("rate", "spectrum", first, second, Direction.LOWER, "errors over all words")
    measured = made_up(plan, [1.0, 1.0])
    scores = measured[1].findings["spectrum"].scores
    scores[second] = type(scores[second])(9.0)
    [row] = aggregate(measured, plan, pooled_rates=[rate], set_figures=[]).rows
    assert (row.name, row.aggregation, row.estimate.value) == ("rate", Aggregation.POOLED, 0.2)


def test_a_figure_of_a_set_needs_enough_clips_and_is_told_by_category():
    vectors = np.asarray([[0.0], [2.0], [4.0], [6.0]], np.float32)
    figure = SetFigure(
        "spread", "motion", "made", "", Direction.NEITHER, "spread", 2, lambda own: float(own.max() - own.min())
    )

    def row(values, categories=None):
        measured = made_up(PLAN, values, categories, vectors)
        return aggregate(measured, PLAN, pooled_rates=[], set_figures=[figure]).rows[1]

    whole = row([1.0, 1.0, 1.0, None], ["a", "a", "b", "b"])
    assert (whole.estimate.value, whole.estimate.num_clips, whole.num_total) == (4.0, 3, 4)
    assert {name: one.value for name, one in whole.by_category.items()} == {"a": 2.0, "b": None}
    assert whole.category_mean.value == 2.0
    assert whole.reasons == {"failed: made up": 1}
    alone = row([1.0, None, None, None])
    assert alone.estimate.value is None
    assert alone.reasons["needs 2 clips at least"] == 1


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0, 1.0]])
def test_the_interval_of_what_does_not_vary_is_a_point(values):
    [row] = aggregate(made_up(PLAN, values), PLAN).rows
    assert (row.estimate.low, row.estimate.high) == (1.0, 1.0)
