"""Distances of a set from a reference, against textbook computations."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.special import softmax

from mova.scorers.sets.distance import frechet_distance, paired_kl, pooled_kl


def cloud(items, width, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(items, width)) @ rng.normal(size=(width, width)) + shift


def plain_frechet(one, other):
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = sqrtm(first @ second).real
    apart = one.mean(axis=0) - other.mean(axis=0)
    return float(apart @ apart + np.trace(first + second - 2 * root))


@pytest.mark.parametrize(("items", "others"), [(40, 60), (9, 30), (30, 9), (9, 12), (5, 200)])
def test_frechet_distance_equals_the_formula_with_a_root_of_matrices(items, others):
    one, other = cloud(items, 12), cloud(others, 12, seed=1, shift=0.5)
    found = frechet_distance(one, other)
    # Where covariances are not full, the root of the plain way is exact to a few digits alone.
    assert found.value == pytest.approx(plain_frechet(one, other), rel=1e-8 if min(items, others) > 12 else 1e-4)
    assert bool(found.remark) == (min(items, others) <= 12)


def test_frechet_distance_of_shifted_clouds_is_the_square_of_the_shift_and_of_a_set_from_itself_nothing():
    one = cloud(50, 6)
    assert frechet_distance(one, one).value == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(one, one + 2.0).value == pytest.approx(24.0)
    assert frechet_distance(one, one[::-1]).value >= 0.0


def test_frechet_distance_is_the_same_both_ways():
    one, other = cloud(20, 8), cloud(30, 8, seed=3)
    assert frechet_distance(one, other).value == pytest.approx(frechet_distance(other, one).value)


def test_few_clips_in_many_dimensions_are_marked():
    found = frechet_distance(cloud(10, 64), cloud(100, 64, seed=1))
    assert found.remark == "10 clips in 64 dimensions: too large, compare only at this number"


def test_what_is_not_finite_never_enters():
    one, other = cloud(20, 4), cloud(20, 4, seed=1)
    wanted = frechet_distance(one, other).value
    found = frechet_distance(np.concatenate([one, [[np.nan, 0, 0, 0]]]), np.concatenate([other, [[np.inf, 0, 0, 0]]]))
    assert found.value == wanted
    assert (found.scored, found.total) == (20, 21)


def test_too_few_clips_are_a_reason_and_other_widths_an_error():
    assert frechet_distance(cloud(1, 4), cloud(9, 4)).reason == "two clips or more are needed, got 1"
    assert frechet_distance(cloud(9, 4), np.zeros((0, 4))).reason == (
        "two clips of the reference or more are needed, got 0"
    )
    with pytest.raises(ValueError, match="must have the same width, got 4 and 5"):
        frechet_distance(cloud(9, 4), cloud(9, 5))


def test_kl_of_pairs_equals_a_plain_computation():
    ours, theirs = cloud(7, 5), cloud(7, 5, seed=2)
    p, q = softmax(theirs, axis=1), softmax(ours, axis=1)
    assert paired_kl(ours, theirs).value == pytest.approx(float((p * np.log(p / q)).sum(axis=1).mean()))
    assert paired_kl(ours, ours).value == pytest.approx(0.0, abs=1e-12)


def test_kl_of_pairs_leaves_out_what_is_not_finite_and_refuses_other_shapes():
    ours, theirs = cloud(7, 5), cloud(7, 5, seed=2)
    wanted = paired_kl(ours[1:], theirs[1:]).value
    theirs[0, 2] = np.nan
    assert (paired_kl(ours, theirs).value, paired_kl(ours, theirs).scored) == (wanted, 6)
    assert paired_kl(np.zeros((0, 5)), np.zeros((0, 5))).reason == "there is no pair of a clip and its reference"
    with pytest.raises(ValueError, match="must have its own reference"):
        paired_kl(ours, theirs[:3])


def test_kl_without_pairs_compares_mean_classes():
    ours, theirs = cloud(7, 5), cloud(9, 5, seed=2)
    p, q = softmax(theirs, axis=1).mean(axis=0), softmax(ours, axis=1).mean(axis=0)
    assert pooled_kl(ours, theirs).value == pytest.approx(float((p * np.log(p / q)).sum()))
    assert pooled_kl(np.zeros((0, 5)), theirs).reason == "there are no clips"
    assert pooled_kl(ours, np.full((1, 5), np.nan)).reason == "there is no reference"
    with pytest.raises(ValueError, match="must have the same classes, got 5 and 4"):
        pooled_kl(ours, cloud(3, 4))
