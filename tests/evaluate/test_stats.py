import numpy as np
import pytest

from mova.evaluate.stats import mean, mean_of_categories, of_pooled, of_set, ratio


def test_mean_of_coin_flips_has_the_binomial_interval():
    estimate = mean([1.0] * 50 + [0.0] * 50)
    assert estimate.value == 0.5
    assert (estimate.low, estimate.high) == pytest.approx((0.4, 0.6), abs=0.03)
    assert estimate.num_clips == 100


def test_interval_holds_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    holds = 0
    for _ in range(200):
        estimate = mean(rng.normal(3.0, 1.0, 60).tolist())
        holds += estimate.low <= 3.0 <= estimate.high
    assert 178 <= holds <= 199


def test_ratio_weighs_clips_by_their_events():
    assert ratio([1, 8], [2, 8]).value == pytest.approx(0.9)


def test_events_of_one_clip_are_not_counted_as_independent():
    rng = np.random.default_rng(1)
    clip_level = rng.normal(0, 1, 20)
    pooled = of_pooled([np.full(50, level) for level in clip_level], lambda values: float(np.mean(values)))
    assert pooled.high - pooled.low > 0.5


def test_figure_of_nothing_is_none():
    for estimate in (mean([]), ratio([0, 0], [0, 0]), of_pooled([[], []], np.median), of_pooled([], np.median)):
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)


def test_intervals_repeat():
    values = np.random.default_rng(2).normal(size=30).tolist()
    assert mean(values) == mean(values)


def test_the_mean_of_categories_weighs_a_small_one_like_a_large_one():
    estimate = mean_of_categories([1.0] * 9 + [5.0], ["a"] * 9 + ["b"])
    assert (estimate.value, estimate.low, estimate.high, estimate.num_clips) == (3.0, 3.0, 3.0, 10)
    assert mean_of_categories([], []).value is None


def test_a_figure_of_a_set_is_drawn_with_its_clips():
    values = np.arange(10.0)
    estimate = of_set(10, lambda chosen: float(values[chosen].mean()))
    assert estimate.value == 4.5
    assert 2.0 < estimate.low < 4.5 < estimate.high < 7.0
    assert of_set(0, len).value is None
    assert of_set(3, lambda _: None).num_clips == 3
