"""Which clips are near-duplicates of an earlier one, by their perceptual hashes; without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

MOST_BITS: Final = 16
"""Of 64: beyond it, clips that have nothing to do with each other are taken for the same."""
_WORD: Final = 64
_PAIRS: Final = 1 << 20


def near_duplicates(hashes: np.ndarray, bits: int, also: np.ndarray | None = None) -> np.ndarray:
    """Say of each clip which earlier clip it repeats.

    Clips are taken in their order: one that differs from a clip that was kept by few bits is its near-duplicate, and
    nothing is a near-duplicate of a clip that was not kept. So each group has its first clip, and no chain of small
    differences joins what differs much.

    Two hashes that differ in at most `n` bits are equal in one of `n + 1` parts: only clips that share a part are
    compared.

    Args:
        hashes: (N,) or (N, K) uint64; K words are one hash.
        bits: how many bits of 64 may differ, on average over the words, 0 to 16.
        also: (N,) or (N, K) uint64; another hash of each clip, of which no more bits of 64 may differ either.

    Returns:
        (N,) int64: the index of the first clip that is kept and within `bits`; the clip's own where it is kept.

    Raises:
        ValueError: the hashes have another type or shape, or `bits` is outside its range.
    """
    table = _table(hashes)
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(f"bits must be 0 to {MOST_BITS} of 64, got {bits}; nearest is {min(max(bits, 0), MOST_BITS)}")
    if not len(table):
        return np.zeros(0, np.int64)
    other = np.zeros((len(table), 0), np.uint64) if also is None else _table(also)
    # Equal hashes share their fate: the first of them stands for all.
    whole = np.concatenate((table, other), axis=1)
    _, first, inverse = np.unique(
        whole.view([("", np.void, whole.shape[1] * 8)]).reshape(-1), return_index=True, return_inverse=True
    )
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    rows = first[order]
    kept = _first_kept(table[rows], other[rows], bits)
    return np.asarray(rows[kept[rank[inverse.reshape(-1)]]], dtype=np.int64)


def _table(hashes: np.ndarray) -> np.ndarray:
    if hashes.dtype != np.uint64 or hashes.ndim not in (1, 2):
        raise ValueError(f"hashes must be (N,) or (N, K) of uint64, got {hashes.shape} of {hashes.dtype}")
    return np.ascontiguousarray(hashes[:, None] if hashes.ndim == 1 else hashes)


def _first_kept(table: np.ndarray, other: np.ndarray, bits: int) -> np.ndarray:
    """Return for each row of hashes (M, K) and (M, L) the first one that is kept and near in both, or itself."""
    earlier, later = _near_pairs(table, bits * table.shape[1])
    if other.shape[1]:
        near = _distance(other, earlier, later) <= bits * other.shape[1]
        earlier, later = earlier[near], later[near]
    order = np.lexsort((earlier, later))
    result = np.arange(len(table))
    for before, after in zip(earlier[order].tolist(), later[order].tolist(), strict=True):
        # By the order of `later`, it is settled whether the earlier one is kept.
        if result[after] == after and result[before] == before:
            result[after] = before
    return result


def _near_pairs(table: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (earlier, later) of all pairs of rows within `most` bits, each once."""
    found = [np.zeros((0, 2), np.int64)]
    if most:
        for keys, word in _parts(table, most + 1):
            order = np.argsort(keys, kind="stable")
            # A word that the part is not of is the one that tells most rows apart.
            column = np.ascontiguousarray(table[order, (word + 1) % table.shape[1]])
            for left, right in _pairs_that_share(keys[order]):
                near = np.bitwise_count(column[left] ^ column[right]) <= most
                pairs = np.stack([order[left[near]], order[right[near]]], axis=1)
                found.append(pairs[_distance(table, pairs[:, 0], pairs[:, 1]) <= most])
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _distance(table: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Return how many bits pairs of rows differ in: (P,) int64."""
    return np.asarray(np.bitwise_count(table[earlier] ^ table[later]).sum(axis=1, dtype=np.int64))


def _parts(table: np.ndarray, number: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (keys, word) of `number` equally long slices of the bits of each row.

    Keys (M,) are equal where the slices are; `word` is the one in which the slice begins.
    """
    bits = np.unpackbits(table.view(np.uint8), axis=1, bitorder="little")
    edges = np.linspace(0, bits.shape[1], min(number, bits.shape[1]) + 1).astype(int)
    for start, end in pairwise(edges):
        slice_bytes = np.packbits(bits[:, start:end], axis=1)
        padded = np.zeros((len(table), -(-slice_bytes.shape[1] // 8) * 8), np.uint8)
        padded[:, : slice_bytes.shape[1]] = slice_bytes
        words = padded.view(np.uint64)
        keys = words[:, 0] if words.shape[1] == 1 else np.unique(words, axis=0, return_inverse=True)[1].reshape(-1)
        yield keys, int(start) // _WORD


def _pairs_that_share(ordered: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places (P,), (P,) of pairs with the same key in a sorted array, the smaller place first, some at a time."""
    ends = np.searchsorted(ordered, ordered, side="right")
    left = np.arange(len(ordered))
    step = 1
    while len(left):
        left = left[left + step < ends[left]]
        for start in range(0, len(left), _PAIRS):
            some = left[start : start + _PAIRS]
            yield some, some + step
        step += 1
