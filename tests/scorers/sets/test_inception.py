"""Inception Score: the recorded numbers, a plain computation, and what must not spoil it."""

import numpy as np
import pytest

from mova.scorers.sets.inception import class_shares, inception_score, sigmoid
from scorer_records import open_record


def logits_of(probabilities):
    clipped = np.clip(np.asarray(probabilities, np.float64), 1e-8, 1 - 1e-8)
    return np.log(clipped / (1 - clipped))


@pytest.fixture(scope="module")
def record():
    return open_record("cnn14")


def random_logits(items, classes=7, seed=0):
    return np.random.default_rng(seed).normal(-2, 3, (items, classes))


def test_scores_are_the_recorded_ones(record):
    near = record.facts["tolerance"]["inception_score_rtol"]
    for rows, wanted in (
        ("output.clipwise", "output.inception_score"),
        ("input.arithmetic.probabilities", "output.arithmetic.inception_score"),
    ):
        found = inception_score(logits_of(record.tensors[rows].numpy()), splits=1)
        assert found.value == pytest.approx(float(record.tensors[wanted]), rel=near)
        assert found.scored == found.total == len(record.tensors[rows])


def test_shares_of_classes_are_the_recorded_ones(record):
    rows = record.tensors["input.arithmetic.probabilities"][:4].numpy()
    wanted = record.tensors["output.arithmetic.softmax_rows_0_to_3"].numpy()
    for as_published in (False, True):
        np.testing.assert_allclose(class_shares(rows, as_published=as_published), wanted, atol=2e-6, rtol=1e-5)


def test_it_equals_a_plain_computation():
    logits = random_logits(9)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    mean = shares.mean(axis=0)
    plain = np.exp(np.mean([sum(p * np.log(p / m) for p, m in zip(row, mean, strict=True)) for row in shares]))
    assert inception_score(logits, splits=1).value == pytest.approx(plain, rel=1e-6)


def test_it_lies_between_one_and_the_number_of_classes():
    assert inception_score(np.zeros((5, 4)), splits=1).value == pytest.approx(1.0)
    sure = np.full((4, 4), -18.0) + 36.0 * np.eye(4)
    assert inception_score(sure, splits=1).value == pytest.approx(4.0, rel=1e-4)


def test_a_clip_that_is_sure_beyond_float32_is_clipped_in_double_precision_and_spoils_the_published_score():
    logits = random_logits(6)
    logits[2, 3] = 60.0
    assert sigmoid(np.float64(60.0)).astype(np.float32) == 1.0
    ours, published = (inception_score(logits, splits=1, as_published=way) for way in (False, True))
    assert 1.0 < ours.value < 7.0
    assert published.value is None
    assert published.reason == "a clip's probability is 1 in float32, of which the logit is infinite"
    assert inception_score(random_logits(6), splits=1, as_published=True).value == pytest.approx(
        inception_score(random_logits(6), splits=1).value, rel=1e-5
    )


def test_what_is_not_finite_never_enters_and_is_counted():
    logits = random_logits(6)
    wanted = inception_score(logits, splits=1).value
    spoiled = np.concatenate([logits, np.full((1, 7), np.nan), np.full((1, 7), np.inf)])
    found = inception_score(spoiled, splits=1)
    assert found.value == wanted
    assert (found.scored, found.total) == (6, 8)


@pytest.mark.parametrize("items", [0, 1])
def test_too_few_clips_are_a_reason(items):
    found = inception_score(random_logits(items))
    assert found.reason == f"two clips or more are needed, got {items}"
    assert inception_score(np.zeros((0,))).reason == "two clips or more are needed, got 0"


def test_splits_are_said_and_each_has_ten_clips():
    assert inception_score(random_logits(19)).remark == "19 clips in 1 split"
    assert inception_score(random_logits(35)).remark == "35 clips in 3 splits"
    assert inception_score(random_logits(250)).remark == "250 clips in 10 splits"
    assert inception_score(random_logits(5), splits=3).reason == "3 splits need 6 clips or more, got 5"


def test_splits_are_dealt_at_random_and_always_alike():
    logits = np.concatenate([random_logits(30), random_logits(30, seed=1) + 4 * np.arange(7)])
    in_order = inception_score(logits, splits=2, shuffled=False).value
    dealt = inception_score(logits, splits=2).value
    assert dealt == inception_score(logits, splits=2).value
    assert dealt > in_order


def test_a_vector_instead_of_a_table_is_an_error():
    with pytest.raises(ValueError, match=r"logits must be one vector a clip, \(N, D\), got shape \(5,\)"):
        inception_score(np.zeros(5))
