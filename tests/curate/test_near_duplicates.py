"""Which rows repeat which is what comparing all of them with all earlier ones gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.curate.near_duplicates import find_repeats


def slow(hashes, bits, candidates):
    found = [-1] * len(candidates)
    for row in np.flatnonzero(candidates):
        for other in np.flatnonzero(candidates[:row]):
            distances = [np.unpackbits(part[row] ^ part[other]).sum() for part in hashes]
            if found[other] == -1 and max(distances) <= bits:
                found[row] = int(other)
                break
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 30), st.sampled_from([1, 2, 8]), st.integers(0, 9), st.booleans())
def test_keys_find_what_comparing_all_with_all_finds(seed, rows, width, bits, two):
    rng = np.random.default_rng(seed)
    seeds = rng.integers(0, 256, (4, width), np.uint8)
    hashes = [seeds[rng.integers(0, 4, rows)] ^ (1 << rng.integers(0, 9, (rows, width))).astype(np.uint8)]
    if two:
        hashes.append(rng.integers(0, 4, (rows, 1), np.uint8))
    candidates = rng.random(rows) < 0.8
    found = find_repeats(hashes, bits, candidates)
    expected = slow(hashes, bits, candidates)
    assert [row >= 0 for row in found] == [row >= 0 for row in expected]
    for row in np.flatnonzero(found >= 0):
        assert found[found[row]] == -1
        assert max(np.unpackbits(part[row] ^ part[found[row]]).sum() for part in hashes) <= bits


@pytest.mark.parametrize("bits", [0, 4])
def test_planted_copies_among_many_are_found(bits):
    rng = np.random.default_rng(7)
    rows = rng.integers(0, 256, (20_000, 8), np.uint8)
    rows[15_000:] = rows[:5_000]
    rows[15_000:, 3] ^= (1 << bits) - 1 if bits else 0
    found = find_repeats([rows], bits, np.ones(len(rows), bool))
    assert (found[15_000:] == np.arange(5_000)).all()
    assert (found[:15_000] == -1).all()
