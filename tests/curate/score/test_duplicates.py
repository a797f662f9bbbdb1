"""Near-duplicates are those that comparing all with all finds, found without doing so."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.curate.score import duplicates
from mova.curate.score.duplicates import MOST_BITS, near_duplicates


def by_comparing_all(hashes, bits):
    table = hashes
    result, kept = [], []
    for index, row in enumerate(table):
        near = [one for one in kept if int(np.bitwise_count(table[one] ^ row).sum()) <= bits * table.shape[1]]
        result.append(near[0] if near else index)
        if not near:
            kept.append(index)
    return result


@st.composite
def groups(draw):
    """Hashes of which many are a few flipped bits from another, in any order."""
    words = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 40))
    bases = rng.integers(0, 2**64, (max(1, count // 4), words), dtype=np.uint64)
    hashes = bases[rng.integers(0, len(bases), count)]
    for row in hashes:
        for _ in range(int(rng.integers(0, 12 * words))):
            row[rng.integers(words)] ^= np.uint64(1) << np.uint64(rng.integers(64))
    return hashes


@settings(max_examples=150)
@given(groups(), st.integers(0, MOST_BITS))
def test_the_result_is_that_of_comparing_all_with_all(hashes, bits):
    assert near_duplicates(hashes, bits).tolist() == by_comparing_all(hashes, bits)


def test_single_words_may_come_without_a_second_axis():
    hashes = np.array([0, 0b111, 0, 2**64 - 1, 0b1], np.uint64)
    assert near_duplicates(hashes, 0).tolist() == [0, 1, 0, 3, 4]
    assert near_duplicates(hashes, 1).tolist() == [0, 1, 0, 3, 0]
    assert near_duplicates(hashes, 3).tolist() == [0, 0, 0, 3, 0]


def test_no_chain_joins_what_differs_much():
    # Each is 2 bits from the next: the second repeats the first; the third repeats only the second, which is not kept.
    chain = np.array([0b0, 0b11, 0b1111], np.uint64)
    assert near_duplicates(chain, 2).tolist() == [0, 0, 2]


def test_equal_hashes_in_great_number_are_no_trouble():
    hashes = np.zeros(200_000, np.uint64)
    hashes[1::2] = 2**64 - 1
    found = near_duplicates(hashes, 4)
    assert found[::2].max() == 0
    assert set(found[1::2].tolist()) == {1}


def test_many_hashes_are_compared_in_memory_that_stays_small():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, (50_000, 4), dtype=np.uint64)
    hashes[40_000:] = hashes[:10_000] ^ np.uint64(0b101)
    found = near_duplicates(hashes, 4)
    assert (found[:40_000] == np.arange(40_000)).all()
    assert (found[40_000:] == np.arange(10_000)).all()


def alike(count, words):
    """Hashes that differ in a few bits, as those of hours of one view do."""
    rng = np.random.default_rng(1)
    hashes = np.repeat(rng.integers(0, 2**64, (1, words), dtype=np.uint64), count, axis=0)
    return hashes ^ (np.uint64(1) << rng.integers(0, 64, (count, words), dtype=np.uint64))


def test_of_many_that_are_alike_not_all_pairs_are_held():
    hashes = alike(3000, 4)
    tracemalloc.start()
    try:
        found = near_duplicates(hashes, 4)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not found.any()
    assert most < 200 * 2**20


def test_images_that_are_alike_with_audio_that_is_not_are_no_duplicates():
    other = np.random.default_rng(2).integers(0, 2**64, (3000, 2), dtype=np.uint64)
    other[2000:] = other[:1000] ^ np.uint64(0b11)
    for one, also in ((alike(3000, 4), other), (other, alike(3000, 4))):
        found = near_duplicates(one, 4, also)
        assert found[:2000].tolist() == list(range(2000))
        assert found[2000:].tolist() == list(range(1000))


@settings(max_examples=60)
@given(groups(), st.integers(0, MOST_BITS))
def test_in_halves_the_result_is_the_same(hashes, bits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_FEW_PAIRS", 3)
        patch.setattr(duplicates, "_PAIRS_PER_ROW", 0)
        assert near_duplicates(hashes, bits).tolist() == by_comparing_all(hashes, bits)


def test_no_hashes_are_no_duplicates():
    assert near_duplicates(np.zeros((0, 4), np.uint64), 4).tolist() == []


def test_wrong_input_is_an_error():
    with pytest.raises(ValueError, match="bits must be 0 to 16 of 64, got 17; nearest is 16"):
        near_duplicates(np.zeros(2, np.uint64), 17)
    with pytest.raises(ValueError, match="uint64, got"):
        near_duplicates(np.zeros(2), 4)


@settings(max_examples=60)
@given(groups(), st.integers(0, 8), st.randoms(use_true_random=False))
def test_another_hash_must_be_near_too(hashes, bits, random):
    other = np.array([[random.choice((0, 2**64 - 1, 0b1))] for _ in hashes], np.uint64).reshape(len(hashes), 1)
    expected, kept = [], []
    for index in range(len(hashes)):
        near = [
            one
            for one in kept
            if np.bitwise_count(hashes[one] ^ hashes[index]).sum() <= bits * hashes.shape[1]
            and np.bitwise_count(other[one] ^ other[index]).sum() <= bits
        ]
        expected.append(near[0] if near else index)
        if not near:
            kept.append(index)
    assert near_duplicates(hashes, bits, other).tolist() == expected
