"""Which clips repeat earlier ones: rows whose perceptual hashes differ in few bits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np


def find_repeats(hashes: Sequence[np.ndarray], bits: int, candidates: np.ndarray) -> np.ndarray:
    """Return for each row the earlier row that it repeats: (N,) int64, -1 for one that repeats none.

    A row repeats an earlier one when all of its hashes differ in at most `bits` bits from those of that one, and that
    one repeats none itself. Found by keys: of `bits + k` bands of a hash, two that are near share at least k.

    Args:
        hashes: (N, bytes) uint8 each, for example of the video and of the audio; the first tells the most apart.
        bits: at most so many of each may differ, 0 or more.
        candidates: (N,) bool; rows that count, all others are neither repeated nor repeat.
    """
    rows = np.flatnonzero(candidates)
    found = np.full(len(candidates), -1, np.int64)
    if not len(rows):
        return found
    joined = np.ascontiguousarray(np.concatenate([part[rows] for part in hashes], axis=1))
    whole = joined.view([("", np.void, joined.shape[1])]).ravel()
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    # Earliest row of each group of equal ones, in the order of the rows.
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    unique = first[order]
    root = np.arange(len(unique))
    if bits > 0:
        _follow(root, _near_pairs([part[rows[unique]] for part in hashes], bits))
    origin = unique[root[place[group]]]
    is_repeat = origin != np.arange(len(rows))
    found[rows[is_repeat]] = rows[origin[is_repeat]]
    return found


def _follow(root: np.ndarray, pairs: np.ndarray) -> None:
    """Let the later of each pair point to the earlier, unless that one repeats another itself."""
    for early, late in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]:
        if root[early] == early and root[late] == late:
            root[late] = early


def _near_pairs(hashes: Sequence[np.ndarray], bits: int) -> np.ndarray:
    """Return the pairs of rows that are near in all hashes: (P, 2) int64, the earlier row first, each pair once."""
    unpacked = np.unpackbits(hashes[0], axis=1)
    words = [_words(part) for part in hashes]
    found = [np.empty((0, 2), np.int64)]
    for key in _keys(unpacked, bits):
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        here = np.arange(len(order) - 1)
        for distance in itertools.count(1):
            here = here[: np.searchsorted(here, len(order) - distance)]
            here = here[ordered[here] == ordered[here + distance]]
            if not len(here):
                break
            early, late = order[here], order[here + distance]
            near = np.ones(len(here), bool)
            for part in words:
                near[near] = _distance(part, early[near], late[near]) <= bits
            found.append(np.stack((early[near], late[near]), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _keys(unpacked: np.ndarray, bits: int) -> Iterator[np.ndarray]:
    """Yield keys (N,) of which two near rows share at least one."""
    rows, length = unpacked.shape
    most = max(1, length - bits)

    def work(shared: int) -> float:
        width = shared * length / (bits + shared)
        return float(math.comb(bits + shared, shared) * (4.0 * math.log2(rows + 2) + rows / 2.0 ** min(width, 60.0)))

    if bits >= length:
        yield np.zeros(rows, np.uint64)
        return
    shared = min(range(1, min(4, most) + 1), key=work)
    bands = np.array_split(np.arange(length), bits + shared)
    for chosen in itertools.combinations(bands, shared):
        columns = np.concatenate(chosen)
        # Where a key has more than 64 bits, the rest only makes it tell less apart than it could.
        yield unpacked[:, columns[:63]] @ (np.uint64(1) << np.arange(len(columns[:63]), dtype=np.uint64))


def _words(part: np.ndarray) -> np.ndarray:
    """Return hashes as 64-bit words: (N, words) uint64."""
    padded = np.pad(part, ((0, 0), (0, -part.shape[1] % 8)))
    return np.ascontiguousarray(padded).view(np.uint64)


def _distance(words: np.ndarray, early: np.ndarray, late: np.ndarray) -> np.ndarray:
    """Return how many bits rows differ in: (P,)."""
    total = np.zeros(len(early), np.int64)
    for column in range(words.shape[1]):
        total += np.bitwise_count(words[early, column] ^ words[late, column])
    return total
