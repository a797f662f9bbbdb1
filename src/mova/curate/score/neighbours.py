"""Which clips are near-duplicates of an earlier one, by the cosine of their embeddings; without comparing all with all.

Up to 20,000 clips the result is that of comparing all with all. Beyond it, clips are put into clusters, and each is
compared with the clips in its nearest clusters alone, as in SemDeDup (Abbas et al., 2023). What a cluster may lose is a
pair at its edge; what is found is exact either way: every cosine that decides is computed from the whole vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

LEAST_COSINE: Final = 0.8
"""Below it, clips that have little to do with each other are taken for the same."""
EXACT_ROWS: Final = 20_000
_ROWS_OF_CLUSTER: Final = 1000
_MOST_CLUSTERS: Final = 4096
_PROBES: Final = 4
_ROUNDS: Final = 8
_SAMPLES_OF_CLUSTER: Final = 32
_WIDTH: Final = 127
_SLACK: Final = 1e-3
"""More than what single precision and the order of sums change in a cosine."""
_BLOCK: Final = 16_384
_CHUNK: Final = 2048
_CELLS: Final = 1 << 24
_MOST_PAIRS: Final = 1 << 18
_FEW: Final = 256


def near_by_cosine(
    spaces: Sequence[np.ndarray], least: Sequence[float], rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say of each clip which earlier clip it repeats.

    Clips are taken in their order: one whose cosine with a clip that was kept is high enough in every space is its
    near-duplicate, and nothing is a near-duplicate of a clip that was not kept.

    Args:
        spaces: (N, width) each, of any precision; they may be mapped from files.
        least: for each space, the cosine from which on clips count as near, 0.8 to 1.
        rows: (M,) places of the clips to look at, in order; each has a vector in every space.

    Returns:
        (M,) int64: for each of `rows` the place in `rows` of the first clip found that is kept and near; its own where
        it is kept. And (spaces, M) float32: the cosines with that clip, 1 where it is kept.

    Raises:
        ValueError: a threshold is outside its range, or there is not one for each space.
    """
    if not spaces or len(spaces) != len(least):
        raise ValueError(f"there must be a threshold for each space, got {len(least)} for {len(spaces)}")
    if wrong := [value for value in least if not LEAST_COSINE <= value <= 1]:
        nearest = min(max(wrong[0], LEAST_COSINE), 1.0)
        raise ValueError(f"cosine must be {LEAST_COSINE} to 1, got {wrong[0]}; nearest is {nearest}")
    repeats, cosines = np.arange(len(rows)), np.ones((len(spaces), len(rows)), np.float32)
    if len(rows):
        vectors = _Vectors(spaces, np.asarray(least, np.float64), rows)
        _Search(vectors, _clusters(vectors)).run(repeats, cosines)
    return repeats, cosines


@dataclass(frozen=True)
class _Vectors:
    """Unit vectors of M clips, out of several spaces.

    Side by side, divided by the root of their number, they are unit vectors again, and their cosine is the mean of the
    cosines: pairs that are near in every space are among those whose mean reaches the mean of the thresholds.
    """

    spaces: Sequence[np.ndarray]
    least: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mean_least(self) -> float:
        return float(self.least.mean()) - _SLACK

    def joined(self, places: np.ndarray) -> np.ndarray:
        """Return (P, all widths) float32."""
        parts = [_units(space[self.rows[places]].astype(np.float32)) for space in self.spaces]
        return np.concatenate(parts, axis=1) / np.float32(np.sqrt(len(parts)))

    def near(self, later: np.ndarray, earlier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which pairs (P,) are near in every space, bool, and their cosines (spaces, P)."""
        cosines = np.empty((len(self.spaces), len(later)))
        for here in _chunks(len(later), _CHUNK):
            for row, space in zip(cosines, self.spaces, strict=True):
                one, other = (space[self.rows[pair[here]]].astype(np.float64) for pair in (later, earlier))
                lengths = np.square(one).sum(axis=1) * np.square(other).sum(axis=1)
                row[here] = (one * other).sum(axis=1) / np.sqrt(lengths)
        # Equal vectors must be near at a threshold of 1, whatever rounding did to their lengths.
        return np.all(cosines >= self.least[:, None] - 1e-9, axis=0), cosines


@dataclass(frozen=True)
class _Clusters:
    """Clips in clusters, those of a cluster side by side and in their order.

    Attributes:
        short: (M, W) float32, unit vectors in the order of clusters, whose products are never less than the cosines.
        place: (M,) where the vector of each clip lies in `short`.
        starts: (K,) first place of each cluster.
        probes: (M, P) int32, the clusters in which each clip looks for others, its own first; -1 for none.
    """

    short: np.ndarray
    place: np.ndarray
    starts: np.ndarray
    probes: np.ndarray


class _Search:
    """Goes through clips in their order, and holds the vectors of those that are kept at the head of each cluster."""

    def __init__(self, vectors: _Vectors, clusters: _Clusters) -> None:
        self._vectors = vectors
        self._clusters = clusters
        self._kept = np.empty(len(vectors), np.int64)
        self._counts = np.zeros(len(clusters.starts), np.int64)

    def run(self, repeats: np.ndarray, cosines: np.ndarray) -> None:
        """Fill in which clip each repeats, and at which cosines."""
        for here in _chunks(len(self._vectors), _BLOCK):
            self._settle(np.arange(here.start, here.stop), repeats, cosines)

    def _settle(self, clips: np.ndarray, repeats: np.ndarray, cosines: np.ndarray) -> None:
        """Decide on clips (C,), after all that come before them."""
        if not len(clips):
            return
        pairs = list(self._with_kept(clips))
        self._decide(pairs, repeats, cosines)
        open_clips = clips[repeats[clips] == clips]
        if not len(open_clips):
            return
        among: list[np.ndarray] = []
        for found in self._among(open_clips):
            among.append(found)
            if sum(part.shape[1] for part in among) > _MOST_PAIRS and len(open_clips) > _FEW:
                # Many are alike: once the first of them is settled, the others need not be compared with each other.
                for half in np.array_split(open_clips, 2):
                    self._settle(half, repeats, cosines)
                return
        self._decide(among, repeats, cosines)
        self._keep(open_clips[repeats[open_clips] == open_clips])

    def _with_kept(self, clips: np.ndarray) -> Iterator[np.ndarray]:
        """Yield pairs (2, P), later and earlier, of clips and those that were kept before them."""
        for cluster, mine in self._by_cluster(clips):
            start = self._clusters.starts[cluster]
            kept = slice(start, start + self._counts[cluster])
            yield from self._pairs(mine, self._kept[kept], self._clusters.short[kept])

    def _among(self, clips: np.ndarray) -> Iterator[np.ndarray]:
        """Yield pairs (2, P), later and earlier, of clips with each other."""
        home = self._clusters.probes[clips, 0]
        order = np.argsort(home, kind="stable")
        edges = np.searchsorted(home[order], np.arange(len(self._clusters.starts) + 1))
        for cluster, mine in self._by_cluster(clips):
            others = clips[order[edges[cluster] : edges[cluster + 1]]]
            for pairs in self._pairs(mine, others, self._clusters.short[self._clusters.place[others]]):
                yield pairs[:, pairs[0] > pairs[1]]

    def _by_cluster(self, clips: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each cluster with the clips (C,), at least one, that look for others in it."""
        probes = self._clusters.probes[clips]
        which, column = np.nonzero(probes >= 0)
        found = probes[which, column]
        order = np.argsort(found, kind="stable")
        names, starts = np.unique(found[order], return_index=True)
        yield from zip(names.tolist(), np.split(clips[which[order]], starts[1:]), strict=True)

    def _pairs(self, later: np.ndarray, earlier: np.ndarray, vectors: np.ndarray) -> Iterator[np.ndarray]:
        """Yield pairs that may be near, by the short vectors."""
        if not len(earlier):
            return
        for here in _chunks(len(later), max(1, _CELLS // len(earlier))):
            mine = self._clusters.short[self._clusters.place[later[here]]]
            one, other = np.nonzero(mine @ vectors.T >= self._vectors.mean_least)
            if len(one):
                yield np.stack([later[here][one], earlier[other]])

    def _decide(self, pairs: Sequence[np.ndarray], repeats: np.ndarray, cosines: np.ndarray) -> None:
        """Say of each later clip which first one it is near to, among those that stay."""
        if not pairs:
            return
        later, earlier = np.concatenate(pairs, axis=1)
        order = np.lexsort((earlier, later))
        later, earlier = later[order], earlier[order]
        near, exact = self._vectors.near(later, earlier)
        for pair in np.flatnonzero(near).tolist():
            after, before = later[pair], earlier[pair]
            # By the order of `later`, it is settled whether the earlier one is kept.
            if repeats[after] == after and repeats[before] == before:
                repeats[after] = before
                cosines[:, after] = exact[:, pair]

    def _keep(self, clips: np.ndarray) -> None:
        """Put the vectors of clips behind those of their clusters that were kept before them."""
        home = self._clusters.probes[clips, 0]
        order = np.argsort(home, kind="stable")
        clips, home = clips[order], home[order]
        rank = np.arange(len(home)) - np.searchsorted(home, home)
        places = self._clusters.starts[home] + self._counts[home] + rank
        # Each comes to lie where itself or an earlier clip was, which nobody will look at again.
        self._clusters.short[places] = self._clusters.short[self._clusters.place[clips]]
        self._kept[places] = clips
        self._counts += np.bincount(home, minlength=len(self._counts))


def _clusters(vectors: _Vectors) -> _Clusters:
    """Return the clips in their clusters; one cluster holds all where there are few."""
    count = len(vectors)
    number = 1 if count <= EXACT_ROWS else min(_MOST_CLUSTERS, -(-count // _ROWS_OF_CLUSTER))
    rng = np.random.default_rng(0)
    basis = _basis(vectors, rng)
    short = np.empty((count, _WIDTH + 1), np.float32)
    for here in _chunks(count, _CHUNK):
        short[here] = _shorten(vectors.joined(np.arange(here.start, here.stop)), basis)
    sample = np.sort(rng.choice(count, min(count, _SAMPLES_OF_CLUSTER * number), replace=False))
    centres = _centres(short[sample], number, rng)
    probes = np.empty((count, min(_PROBES, number)), np.int32)
    for here in _chunks(count, _CHUNK):
        probes[here] = _probes(short[here] @ centres.T, probes.shape[1], vectors.mean_least)
    order = np.argsort(probes[:, 0], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(count)
    return _Clusters(short[order], place, np.searchsorted(probes[order, 0], np.arange(number)), probes)


def _basis(vectors: _Vectors, rng: np.random.Generator) -> np.ndarray | None:
    """Return the directions (width, 127) in which the vectors of a sample are longest; None where there are fewer."""
    sample = vectors.joined(np.sort(rng.choice(len(vectors), min(len(vectors), 4 * _CHUNK), replace=False)))
    if sample.shape[1] <= _WIDTH:
        return None
    _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return np.ascontiguousarray(directions[:, -_WIDTH:], dtype=np.float32)


def _shorten(joined: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    """Return unit vectors (P, 128) whose products are at least the cosines: what is left out lends its length.

    A cosine is the product of the parts along the basis and that of the rests, and the latter is at most the product of
    the rests' lengths.
    """
    if basis is None:
        return np.pad(joined, ((0, 0), (0, _WIDTH + 1 - joined.shape[1])))
    along = joined @ basis
    rest = np.sqrt(np.maximum(0, 1 - np.square(along).sum(axis=1, keepdims=True)))
    return np.concatenate([along, rest], axis=1)


def _centres(sample: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return the middles (K, W) of clusters, by spherical k-means over a sample (S, W)."""
    centres = sample[np.sort(rng.choice(len(sample), number, replace=False))]
    for _ in range(_ROUNDS if number > 1 else 0):
        nearest = np.concatenate([np.argmax(sample[here] @ centres.T, axis=1) for here in _chunks(len(sample), _CHUNK)])
        order = np.argsort(nearest, kind="stable")
        names, starts = np.unique(nearest[order], return_index=True)
        centres[names] = _units(np.add.reduceat(sample[order], starts, axis=0))
    return centres


def _probes(products: np.ndarray, number: int, least: float) -> np.ndarray:
    """Return the nearest clusters of clips: (P, number) int32, the nearest first.

    Args:
        products: (P, K) with the middles of the clusters.
        number: of clusters at most; -1 stands for one that can hold no near clip.
        least: cosine of near clips. By angles: one near to this clip is nearer to the middle of its own cluster than to
            that of this one, so no further from this clip than the cluster's own middle and twice the angle of `least`.
    """
    found = np.empty((len(products), number), np.int32)
    rows = np.arange(len(products))
    furthest = np.zeros(0)
    for column in range(number):
        best = np.argmax(products, axis=1)
        value = products[rows, best]
        if not column:
            furthest = np.minimum(np.pi, np.arccos(np.clip(value, -1, 1)) + 2 * np.arccos(least))
        found[:, column] = np.where(value >= np.cos(furthest) - _SLACK, best, -1)
        products[rows, best] = -2
    return found


def _units(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (P, width) at length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30))


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
