"""Which clips are near-duplicates of an earlier one, by their perceptual hashes; without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

MOST_BITS: Final = 16
"""Of 64: beyond it, clips that have nothing to do with each other are taken for the same."""
_WORD: Final = 64
_CANDIDATES: Final = 1 << 18
_FEW_PAIRS: Final = 1 << 16
_PAIRS_PER_ROW: Final = 4
_SAMPLE: Final = 4096
_ALL_ALIKE: Final = 1 << 62


def near_duplicates(hashes: np.ndarray, bits: int, also: np.ndarray | None = None) -> np.ndarray:
    """Say of each clip which earlier clip it repeats.

    Clips are taken in their order: one that differs from a clip that was kept by few bits is its near-duplicate, and
    nothing is a near-duplicate of a clip that was not kept. So each group has its first clip, and no chain of small
    differences joins what differs much.

    Two hashes that differ in at most `n` bits are equal in one of `n + 1` parts: only clips that share a part are
    compared. Where very many are alike, as in hours of one view, they are settled half by half: what repeats a clip of
    the first half need not be compared with the rest of the second.

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
    result = np.arange(len(table))
    if bits:
        both = (table, other) if _num_alike(table, bits) <= _num_alike(other, bits) else (other, table)
        _settle(_Search(*both, bits), result, result.copy())
    return result


def _num_alike(table: np.ndarray, bits: int) -> int:
    """Return how many pairs of a sample of rows (M, K) share a part, over all parts."""
    if not table.shape[1]:
        return _ALL_ALIKE
    sample = np.ascontiguousarray(table[:: -(-len(table) // _SAMPLE)])
    found = 0
    for keys, _ in _parts(sample, bits * table.shape[1] + 1):
        counts = np.unique(keys, return_counts=True)[1]
        found += int((counts * (counts - 1) // 2).sum())
    return found


def _settle(search: _Search, result: np.ndarray, rows: np.ndarray) -> None:
    """Fill in which row each of some repeats, in order; none of them is near a row that is kept before them all."""
    pairs = search.near_pairs(rows)
    if pairs is None:
        first, second = np.array_split(rows, 2)
        _settle(search, result, first)
        found = search.first_near(second, first[result[first] == first])
        result[second] = np.where(found >= 0, found, second)
        _settle(search, result, second[found < 0])
        return
    for before, after in zip(*(side.tolist() for side in pairs), strict=True):
        # By the order of the later ones, it is settled whether the earlier one is kept.
        if result[after] == after and result[before] == before:
            result[after] = before


@dataclass(frozen=True)
class _Search:
    """Finds rows that are near in two hashes.

    Attributes:
        table: (M, K) uint64; rows that share no part of it are not compared.
        other: (M, L) uint64.
        bits: of 64 that may differ in each, on average over its words.
    """

    table: np.ndarray
    other: np.ndarray
    bits: int

    @property
    def most(self) -> int:
        """Bits that may differ in a row of `table`."""
        return self.bits * int(self.table.shape[1])

    def near_pairs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (earlier, later) of all near pairs, each once, by the later one; None where there are too many."""
        limit = max(_FEW_PAIRS, _PAIRS_PER_ROW * len(rows))
        table, codes, waiting = np.ascontiguousarray(self.table[rows]), np.zeros(0, np.int64), 0
        found = [codes]
        for keys, word in _parts(table, self.most + 1):
            order = np.argsort(keys, kind="stable")
            sorted_rows = rows[order]
            for left, right in _pairs_that_share(keys[order]):
                earlier, later = self._near(sorted_rows[left], sorted_rows[right], word)
                found.append(later * len(self.table) + earlier)
                waiting += len(later)
                if waiting > limit:
                    # A pair that shares several parts was found with each of them.
                    codes = np.unique(np.concatenate(found))
                    found, waiting = [codes], 0
                    if len(codes) > limit:
                        return None
        later, earlier = np.divmod(np.unique(np.concatenate(found)), len(self.table))
        return earlier, later

    def first_near(self, rows: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Return for each of some rows the first of others, which come before them, that is near; -1 for none."""
        first = np.full(len(rows), len(self.table))
        for keys, word in _parts(np.ascontiguousarray(self.table[np.concatenate((kept, rows))]), self.most + 1):
            order = np.argsort(keys[: len(kept)], kind="stable")
            known, mine = keys[: len(kept)][order], keys[len(kept) :]
            begins, ends = (np.searchsorted(known, mine, side) for side in ("left", "right"))
            for places, which in _ranges(begins, ends):
                earlier, later = self._near(kept[order[which]], rows[places], word)
                np.minimum.at(first, np.searchsorted(rows, later), earlier)
        return np.where(first < len(self.table), first, -1)

    def _near(self, earlier: np.ndarray, later: np.ndarray, word: int) -> tuple[np.ndarray, np.ndarray]:
        """Return those of some pairs that are near; `word` is the one that they share a part of."""
        # A word that the part is not of is the one that tells most rows apart.
        column = self.table[:, (word + 1) % self.table.shape[1]]
        near = np.bitwise_count(column[earlier] ^ column[later]) <= self.most
        earlier, later = earlier[near], later[near]
        near = _distance(self.table, earlier, later) <= self.most
        earlier, later = earlier[near], later[near]
        near = _distance(self.other, earlier, later) <= self.bits * self.other.shape[1]
        return earlier[near], later[near]


def _ranges(begins: np.ndarray, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (place, member) of each member of the ranges at places (P,), some at a time: (Q,), (Q,)."""
    sizes = ends - begins
    edges = np.concatenate(([0], np.cumsum(sizes)))
    for start in range(0, int(edges[-1]), _CANDIDATES):
        numbers = np.arange(start, min(start + _CANDIDATES, int(edges[-1])))
        places = np.searchsorted(edges, numbers, side="right") - 1
        yield places, begins[places] + numbers - edges[places]


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
        for start in range(0, len(left), _CANDIDATES):
            some = left[start : start + _CANDIDATES]
            yield some, some + step
        step += 1
