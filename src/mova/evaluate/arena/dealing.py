"""Which pair a rater sees next: one with few votes, of models with few votes together, never one seen before."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from mova.evaluate.arena.contents import Ballot, Clip


class Dealer:
    """Deals pairs, and counts how often each was voted on or is just being looked at.

    Args:
        clips: of the arena.
        ballots: that were given out before, and whether each was voted with.
        now: moment; of ballots that are not voted with, only those that have not expired count.
        seed: of chance; None takes the system's.
    """

    def __init__(
        self, clips: Sequence[Clip], ballots: Iterable[tuple[Ballot, bool]], now: float, seed: int | None = None
    ) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._pairs = _pairs_of(clips)
        model_of = {clip.id: clip.model for clip in clips}
        duels = [tuple(sorted((model_of[one], model_of[other]))) for one, other in self._pairs]
        known = {duel: number for number, duel in enumerate(sorted(set(duels)))}
        self._duel_of = np.asarray([known[duel] for duel in duels], np.int64)
        self._place_of = {pair: place for place, pair in enumerate(self._pairs)}
        self._counts = np.zeros(len(self._pairs), np.int64)
        self._duel_counts = np.zeros(len(known), np.int64)
        self._seen: dict[int, set[int]] = {}
        self._open: dict[str, Ballot] = {}
        for ballot, is_voted in ballots:
            if is_voted or ballot.expires > now:
                self._count(ballot, 1)
                if not is_voted:
                    self._open[ballot.id] = ballot

    @property
    def num_pairs(self) -> int:
        """How many pairs there are."""
        return len(self._pairs)

    def left_for(self, rater: int) -> int:
        """Return how many pairs a rater has not seen."""
        with self._lock:
            return len(self._pairs) - len(self._seen.get(rater, ()))

    def open_for(self, rater: int, now: float) -> Ballot | None:
        """Return the ballot that a rater was given and has not used: who loads the page again sees the same pair."""
        with self._lock:
            self._forget_expired(now)
            return next((one for one in self._open.values() if one.rater == rater and one.expires > now), None)

    def deal(self, rater: int, name: str, now: float, seconds: float) -> Ballot | None:
        """Return a new ballot, its sides drawn by chance; None where the rater has seen every pair.

        Args:
            rater: key of who asks.
            name: of the ballot.
            now: moment.
            seconds: for which it is good.
        """
        with self._lock:
            self._forget_expired(now)
            is_new = np.ones(len(self._pairs), np.bool_)
            is_new[list(self._seen.get(rater, ()))] = False
            places = np.flatnonzero(is_new)
            if not places.size:
                return None
            places = places[self._counts[places] == self._counts[places].min()]
            duels = self._duel_counts[self._duel_of[places]]
            places = places[duels == duels.min()]
            one, other = self._pairs[int(places[self._random.randrange(len(places))])]
            left, right = (one, other) if self._random.getrandbits(1) else (other, one)
            ballot = Ballot(name, rater, left, right, now, now + seconds)
            self._count(ballot, 1)
            self._open[name] = ballot
            return ballot

    def voted(self, name: str) -> None:
        """Note that a ballot was used."""
        with self._lock:
            self._open.pop(name, None)

    def withdraw(self, name: str) -> None:
        """Take a ballot back that could not be given out."""
        with self._lock:
            ballot = self._open.pop(name, None)
            if ballot is not None:
                self._count(ballot, -1)

    def _count(self, ballot: Ballot, change: int) -> None:
        place = self._place_of.get(_ordered(ballot.left_clip, ballot.right_clip))
        if place is None:
            return
        self._counts[place] += change
        self._duel_counts[self._duel_of[place]] += change
        seen = self._seen.setdefault(ballot.rater, set())
        (seen.add if change > 0 else seen.discard)(place)

    def _forget_expired(self, now: float) -> None:
        # In the order in which they were given out, which is that in which they expire.
        while self._open and (first := next(iter(self._open.values()))).expires <= now:
            del self._open[first.id]
            self._count(first, -1)


def _pairs_of(clips: Sequence[Clip]) -> list[tuple[int, int]]:
    groups: dict[tuple[int, int], list[Clip]] = {}
    for clip in clips:
        groups.setdefault((clip.prompt, clip.variant), []).append(clip)
    return [
        _ordered(one.id, other.id)
        for group in groups.values()
        for one, other in combinations(group, 2)
        if one.model != other.model
    ]


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
