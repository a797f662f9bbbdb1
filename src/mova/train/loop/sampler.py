"""Which clips an optimiser step learns from: a pure function of the clips, the batch size, the seed and the step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mova.data.batch import ClipFacts
from mova.data.clip_record import check_same_clips, record_of
from mova.errors import DataError
from mova.files.json_file import shorten


@dataclass(frozen=True)
class _Epoch:
    """The batches of one pass: for each its bucket, and where it starts in the bucket's endless row of clips."""

    number: int
    order: NDArray[np.int64]


class StepSampler:
    """Deals the clips of each bucket out in shuffled rounds; a batch holds clips of one bucket only.

    Each bucket is an endless row of shuffles of its clips, cut into batches, so every clip comes up once per round,
    also where the batch size does not divide their number: a batch then holds the end of one round and the beginning of
    the next. An epoch has as many batches of each bucket as its clips fill (rounded up), in shuffled order.

    Args:
        facts: facts of every clip.
        batch_size: clips of a step, over all processes; a bucket with fewer clips repeats them.
        seed: seed of the run.

    Raises:
        DataError: there is no clip.
    """

    def __init__(self, facts: Sequence[ClipFacts], batch_size: int, seed: int) -> None:
        if not facts:
            raise DataError("there must be at least one clip to learn from, got none")
        self.batch_size, self.seed = batch_size, seed
        buckets = np.array([fact.bucket for fact in facts])
        self.members = {int(name): np.flatnonzero(buckets == name) for name in np.unique(buckets)}
        self.batches = {name: -(-len(clips) // batch_size) for name, clips in self.members.items()}
        self.steps_per_epoch = sum(self.batches.values())
        self.facts = facts
        self._epoch: _Epoch | None = None
        self._rounds: dict[tuple[int, int], NDArray[np.int64]] = {}

    def indices(self, step: int) -> list[int]:
        """Return the clips of optimiser step `step`, counted from 0."""
        number, place = divmod(step, self.steps_per_epoch)
        bucket = int(self._order(number)[place])
        earlier = int((self._order(number)[:place] == bucket).sum()) + number * self.batches[bucket]
        size = len(self.members[bucket])
        first = earlier * self.batch_size
        rounds = range(first // size, (first + self.batch_size - 1) // size + 1)
        dealt = np.concatenate([self._round(bucket, count) for count in rounds])
        offset = first - rounds.start * size
        return [int(index) for index in dealt[offset : offset + self.batch_size]]

    def state_dict(self, step: int) -> dict[str, object]:
        """Return where a run stands after `step` steps, and in which clips, as JSON values."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return {
            "clips": record_of(self.facts),
            "epoch": epoch,
            "steps_into_epoch": place,
            "batch_size": self.batch_size,
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuse the position of a run on other clips.

        Raises:
            DataError: clips or batch size differ from those of the saved position.
        """
        if state.get("batch_size") != self.batch_size:
            raise DataError(
                f"run.batch_size must be the one that the run learned with, {shorten(state.get('batch_size'))}, got "
                f"{self.batch_size}"
            )
        if "clips" in state:
            check_same_clips(state["clips"], self.facts, "the clips of the state")
        elif state.get("fingerprint") != _former_fingerprint(self.facts):
            raise DataError(
                "the clips must be those that the run learned from, got other names; restore them, or begin in a new "
                "folder"
            )

    def _order(self, number: int) -> NDArray[np.int64]:
        if self._epoch is None or self._epoch.number != number:
            row = np.repeat(list(self.batches), list(self.batches.values()))
            self._epoch = _Epoch(number, np.random.default_rng([self.seed, 0, number]).permutation(row))
        return self._epoch.order

    def _round(self, bucket: int, count: int) -> NDArray[np.int64]:
        key = (bucket, count)
        if key not in self._rounds:
            if len(self._rounds) > 2 * len(self.members):
                self._rounds.clear()
            shuffle = np.random.default_rng([self.seed, 1, bucket, count])
            self._rounds[key] = shuffle.permutation(self.members[bucket])
        return self._rounds[key]


def _former_fingerprint(facts: Sequence[ClipFacts]) -> str:
    """Return what states held of clips before they held their contents."""
    return hashlib.sha256("\n".join(f"{fact.bucket} {fact.key}" for fact in facts).encode()).hexdigest()[:16]
