"""Near-duplicates by embedding are those that comparing all with all finds; in clusters, nearly all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.curate.score import neighbours
from mova.curate.score.neighbours import near_by_cosine


def cosines(space):
    units = space.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return units @ units.T


def by_comparing_all(spaces, least):
    near = np.all([cosines(space) >= value for space, value in zip(spaces, least, strict=True)], axis=0)
    result, kept = [], []
    for row in range(len(near)):
        first = next((one for one in kept if near[one, row]), row)
        result.append(first)
        if first == row:
            kept.append(row)
    return result


def grouped(rng, count, width, groups, spread, kind=np.float16):
    """Vectors around so many middles, in any order, 0 or more as those of networks are."""
    middles = np.maximum(rng.normal(size=(groups, width)), 0)
    lengths = rng.uniform(0.5, 20, (count, 1))
    return (lengths * (middles[rng.integers(0, groups, count)] + spread * rng.normal(size=(count, width)))).astype(kind)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 90), st.sampled_from([3, 64, 200]), st.sampled_from([0.8, 0.9, 0.98, 1.0]))
def test_the_result_is_that_of_comparing_all_with_all(seed, count, width, least):
    rng = np.random.default_rng(seed)
    spaces = [grouped(rng, count, width, max(1, count // 5), spread) for spread in (0.1, 0.3)]
    for some in ([spaces[0]], spaces):
        thresholds = [least, 0.8][: len(some)]
        found, likeness = near_by_cosine(some, thresholds, np.arange(count))
        assert found.tolist() == by_comparing_all(some, thresholds)
        for place, first in enumerate(found):
            expected = [cosines(space)[place, first] for space in some]
            np.testing.assert_allclose(likeness[:, place], expected, atol=1e-6)


def test_thousands_are_compared_exactly_whatever_the_blocks_are(monkeypatch):
    space = grouped(np.random.default_rng(1), 3000, 160, 700, 0.12)
    expected = by_comparing_all([space], [0.97])
    assert 500 < len(set(expected)) < 2500
    for name, value in {"_BLOCK": 257, "_MOST_PAIRS": 50, "_FEW": 8, "_CHUNK": 16, "_CELLS": 4096}.items():
        assert near_by_cosine([space], [0.97], np.arange(3000))[0].tolist() == expected
        monkeypatch.setattr(neighbours, name, value)
    assert near_by_cosine([space], [0.97], np.arange(3000))[0].tolist() == expected


def test_only_the_rows_that_are_asked_for_are_looked_at():
    space = np.eye(6, 8, dtype=np.float32)
    space[4] = space[1]
    space[5] = space[0]
    assert near_by_cosine([space], [0.9], np.array([1, 3, 4, 5]))[0].tolist() == [0, 1, 0, 3]


def planted(rng, count, width, least, share=0.1):
    """Vectors that lie apart, of which the last tenth repeat earlier ones at just about a cosine."""
    space = grouped(rng, count, width, count // 40, 0.7, np.float32)
    late = np.arange(count - int(share * count), count)
    early = rng.permutation(count - len(late))[: len(late)]
    aside = rng.normal(size=(len(late), width))
    units = space[early] / np.linalg.norm(space[early], axis=1, keepdims=True)
    aside -= (aside * units).sum(axis=1, keepdims=True) * units
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    cosine = least + (1 - least) * rng.uniform(0.02, 1, (len(late), 1))
    space[late] = cosine * units + np.sqrt(1 - cosine**2) * aside
    return space.astype(np.float16), early


@pytest.mark.parametrize(("least", "recall"), [(0.99, 0.999), (0.98, 0.995), (0.95, 0.98), (0.9, 0.95)])
def test_clusters_find_nearly_all_duplicates_that_were_planted(least, recall):
    space, early = planted(np.random.default_rng(2), 24_000, 256, least)
    found, likeness = near_by_cosine([space], [least], np.arange(len(space)))
    late = np.arange(len(space) - len(early), len(space))
    assert (found[late] != late).mean() >= recall
    assert (likeness >= least - 1e-6).all()
    # Nothing repeats what was not kept.
    assert (found[found] == found).all()


def test_a_great_number_of_equal_clips_is_no_trouble():
    space = np.ones((24_000, 32), np.float16)
    space[::3, 0] = 30
    found, _ = near_by_cosine([space], [0.98], np.arange(len(space)))
    assert set(found[::3].tolist()) == {0}
    assert set(np.delete(found, np.s_[::3]).tolist()) == {1}


def test_the_same_input_has_the_same_result():
    space, _ = planted(np.random.default_rng(3), 24_000, 64, 0.95)
    one, other = (near_by_cosine([space], [0.95], np.arange(len(space))) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_wrong_thresholds_are_errors_and_nothing_is_no_trouble():
    space = np.ones((2, 4), np.float16)
    with pytest.raises(ValueError, match=r"cosine must be 0\.8 to 1, got 0\.5; nearest is 0\.8"):
        near_by_cosine([space], [0.5], np.arange(2))
    with pytest.raises(ValueError, match="a threshold for each space, got 2 for 1"):
        near_by_cosine([space], [0.9, 0.9], np.arange(2))
    assert near_by_cosine([space], [0.9], np.arange(0))[0].tolist() == []
