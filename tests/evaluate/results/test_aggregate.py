"""Figures over clips: means, categories, pooled rates, sets, and honest counts."""

from dataclasses import replace

import numpy as np
import pytest

from evaluated_clips import made_up, plan_of
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.results.aggregate import aggregate
from mova.evaluate.results.derived import PooledRate, SetFigure
from mova.evaluate.results.rows import Aggregation
from mova.scorers.base import Direction, Score
from mova.scorers.published.quirks import MOVA_QUIRKS, Quirks
from mova.scorers.registry import ScorerSettings
from mova.scorers.sets.score import SetScore

PLAN = plan_of("motion")
PARITY = MeasurePlan(("motion",), ScorerSettings(quirks=MOVA_QUIRKS))


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
        "spread",
        "motion",
        "made",
        "",
        Direction.NEITHER,
        "spread",
        2,
        lambda own: SetScore(float(own.max() - own.min())),
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


def test_with_the_quirk_the_figure_is_the_mean_of_the_categories():
    values, categories = [1.0, 1.0, 1.0, 5.0, None], ["a", "a", "a", "b", "b"]
    results = aggregate(made_up(PARITY, values, categories), PARITY)
    [row] = results.rows
    assert (row.estimate.value, row.over_all.value, row.aggregation) == (3.0, 2.0, Aggregation.CATEGORY)
    assert (row.estimate.num_clips, row.num_total) == (4, 5)
    assert "`--parity mova`" in results.rules
    assert "category_means" in results.rules
    [alone] = aggregate(made_up(PARITY, [1.0, 3.0]), PARITY).rows
    assert (alone.estimate.value, alone.aggregation) == (2.0, Aggregation.ITEM)


def test_with_the_quirk_lip_sync_stays_a_mean_over_clips_and_pooled_rates_stay_pooled():
    plan = MeasurePlan(("cpcer", "syncnet"), ScorerSettings(quirks=MOVA_QUIRKS))
    rows = {row.name: row for row in aggregate(made_up(plan, [1.0, 1.0, 4.0], ["a", "a", "b"]), plan).rows}
    assert (rows["lse_d"].estimate.value, rows["lse_d"].aggregation) == (2.0, Aggregation.ITEM)
    assert rows["cpcer"].aggregation is Aggregation.POOLED


def inception(logits, quirks):
    plan = MeasurePlan(("cnn14",), ScorerSettings(quirks=quirks))
    vectors = [{"cnn14_logits": row} for row in logits]
    measured = [
        replace(one, findings={"cnn14": replace(one.findings["cnn14"], embeddings=own)})
        for one, own in zip(made_up(plan, [0.5] * len(logits)), vectors, strict=True)
    ]
    return next(row for row in aggregate(measured, plan).rows if row.name == "inception_score")


def test_one_split_as_the_clips_come_is_a_quirk_and_the_default_takes_more():
    logits = np.random.default_rng(0).normal(0, 4, (40, 12)).astype(np.float32)
    many, one = inception(logits, Quirks()), inception(logits, Quirks(is_one_split=True))
    assert (many.remark, one.remark) == ("40 clips in 4 splits", "40 clips in 1 split")
    assert one.estimate.value > many.estimate.value
    assert many.estimate.low < many.estimate.value < many.estimate.high


def test_a_probability_of_one_spoils_the_set_in_float32_as_published_and_not_here():
    logits = np.random.default_rng(0).normal(0, 4, (4, 12)).astype(np.float32)
    logits[0, 0] = 60.0
    assert inception(logits, Quirks()).estimate.value is not None
    spoilt = inception(logits, Quirks(is_in_float32=True))
    assert spoilt.estimate.value is None
    assert spoilt.reasons == {"a clip's probability is 1 in float32, of which the logit is infinite": 4}


def test_what_is_lost_along_a_clip_is_a_difference_over_the_clips_that_have_both():
    plan = plan_of("synchrony")
    measured = made_up(plan, [0.5, 0.5, None])
    for one, last in zip(measured, (0.1, 0.3), strict=False):
        one.findings["synchrony"].scores["av_align_last"] = Score(last)
    rows = {row.name: row for row in aggregate(measured, plan).rows}
    drift = rows["av_align_drift"]
    assert drift.estimate.value == pytest.approx(-0.3)
    assert (drift.estimate.num_clips, drift.num_total, drift.reasons) == (2, 3, {"failed: made up": 1})
    assert -0.41 < drift.estimate.low < drift.estimate.high < -0.19
    assert rows["onset_motion_drift"].estimate.value == 0.0
