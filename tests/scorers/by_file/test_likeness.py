"""How alike the clips of a set are."""

import itertools

import numpy as np
import pytest

from mova.scorers.by_file.likeness import mean_cosine


def test_it_is_the_mean_of_all_pairs_and_copies_count_once():
    vectors = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [float(one @ other) for one, other in itertools.combinations(unit, 2)]
    assert mean_cosine(vectors) == pytest.approx(np.mean(pairs))
    assert mean_cosine(np.concatenate([vectors, vectors[:3]])) == pytest.approx(np.mean(pairs))


def test_one_voice_alone_is_like_nobody():
    assert mean_cosine(np.ones((3, 4))) is None
    assert mean_cosine(np.zeros((2, 4))) is None
    assert mean_cosine(np.zeros((0, 4))) is None
