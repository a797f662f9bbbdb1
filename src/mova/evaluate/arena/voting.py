"""What a rater may do, and when a vote counts. Nothing here knows of HTTP but its status codes.

| a vote that | becomes |
| --- | --- |
| comes again with the same answers | the same reply: it is there once |
| comes again with other answers | refused, 409: the first stands |
| is for a pair that this rater was never shown | refused, 404 |
| comes after its ballot has expired | refused, 410 |
| is one of too many in a minute | refused, 429 |
| comes sooner than both clips can have been watched | refused, 422, where watching is required; else kept and marked |
| comes before both were played to their ends | refused, 422, where watching is required; else kept and marked |
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.arena.contents import Ballot, Cast, Kept, Rater
from mova.evaluate.arena.dealing import Dealer
from mova.evaluate.arena.records import Mark, Watch, read_answers
from mova.evaluate.arena.store import Store
from mova.files.json_file import Fields
from mova.version import package_version
from mova.web.limits import Window
from mova.web.refusals import RefusedError

# Players end a little before what a container states.
_SLACK: Final = 0.95
# More would be a choice of pairs.
_SKIPS_PER_HOUR: Final = 5
_MOST_REPLAYS: Final = 1_000_000


@dataclass(frozen=True)
class Rules:
    """When votes count.

    Attributes:
        watch: what becomes of a vote before both clips were watched.
        ballot_minutes: for how long a ballot is good.
        votes_per_minute: of one rater.

    Raises:
        ConfigError: a number is out of its range.
    """

    watch: Watch = Watch.REQUIRED
    ballot_minutes: float = 60.0
    votes_per_minute: int = 20

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("ballot minutes", self.ballot_minutes, 1.0, 100_000.0),
            ("votes per minute", self.votes_per_minute, 1, 100_000),
        ):
            if not least <= value <= most:
                nearest = least if value < least else most
                raise ConfigError(f"{name} must be {least:g} to {most:g}, got {value:g}; nearest is {nearest:g}")


@dataclass(frozen=True)
class Shown:
    """What a rater is shown.

    Attributes:
        ballot: its name, which is part of the addresses of both clips and of the vote.
        prompt: its text; "" where nobody knows it.
        seconds: how long the clips last, left and right.
        expires_s: for how many seconds the ballot is good.
        num_left: pairs that this rater has not voted on, this one included.
    """

    ballot: str
    prompt: str
    seconds: tuple[float, float]
    expires_s: float
    num_left: int


class Booth:
    """Gives out pairs and takes votes.

    Args:
        store: of the arena.
        rules: when votes count.
        clock: seconds since 1970.
        seed: of the order of pairs and sides; None is chance.
    """

    def __init__(
        self, store: Store, rules: Rules, *, clock: Callable[[], float] = time.time, seed: int | None = None
    ) -> None:
        self.store, self.rules, self._clock = store, rules, clock
        clips = store.clips()
        self._clips = {clip.id: clip for clip in clips}
        self._prompts = store.prompt_texts()
        self._dealer = Dealer(clips, store.ballots(), clock(), seed)
        self._version = package_version()
        self._skips = Window(_SKIPS_PER_HOUR, 3600.0)
        self._votes = Window(rules.votes_per_minute, 60.0)

    def rater(self, secret: str) -> Rater:
        """Return whose secret it is.

        Raises:
            RefusedError: it is missing, or nobody's.
        """
        found = self.store.rater_of(secret) if _may_be_drawn(secret, 200) else None
        if found is None:
            raise RefusedError(
                403, "no_rater", "This page needs a link that you were given; ask who runs the arena for it."
            )
        return found

    def show(self, rater: Rater) -> Shown | None:
        """Return the pair that a rater is to judge; None where there is none left."""
        now = self._clock()
        ballot = self._dealer.open_for(rater.id, now)
        if ballot is None:
            ballot = self._dealer.deal(rater.id, secrets.token_urlsafe(18), now, 60 * self.rules.ballot_minutes)
            if ballot is None:
                return None
            try:
                self.store.issue(ballot)
            except BaseException:
                self._dealer.withdraw(ballot.id)
                raise
        left, right = self._clips[ballot.left_clip], self._clips[ballot.right_clip]
        return Shown(
            ballot.id,
            self._prompts[left.prompt],
            (left.seconds, right.seconds),
            ballot.expires - now,
            self._dealer.left_for(rater.id) + 1,
        )

    def file_of(self, rater: Rater, ballot: str, side: str) -> str:
        """Return the name of the file of a clip of a ballot.

        Args:
            rater: who asks.
            ballot: its name.
            side: "left" or "right".

        Raises:
            RefusedError: this rater was not shown it.
        """
        found = self._own(rater, ballot)
        if side not in ("left", "right"):
            raise RefusedError(404, "no_clip", "A ballot has a left and a right clip.")
        return self._clips[found.left_clip if side == "left" else found.right_clip].file

    def vote(self, rater: Rater, sent: Fields) -> bool:
        """Keep a vote: when this returns, it is on the disk, once.

        Args:
            rater: who votes.
            sent: `ballot`, `answers`, `watched` with `left` and `right`, `replays`.

        Returns:
            Whether it is new; False where the same vote was there already.

        Raises:
            RefusedError: see the table above.
            ConfigError: what was sent has another form.
        """
        name = sent.text("ballot")
        answers = read_answers(sent.fields("answers"))
        watched = sent.fields("watched")
        is_watched = watched.flag("left"), watched.flag("right")
        replays = sent.integer("replays", 0, least=0, most=_MOST_REPLAYS)
        ballot = self._own(rater, name)
        earlier = self.store.answers(name)
        if earlier is not None:
            return self._again(Kept.SAME if earlier == answers else Kept.OTHER)
        now = self._clock()
        if now > ballot.expires:
            raise RefusedError(410, "late", "This pair has expired; here comes another one.")
        marks = self._marks(ballot, now - ballot.issued, is_watched)
        if (wait_s := self._votes.take(rater.id, now)) > 0:
            raise RefusedError(429, "too_many", f"That is fast; please go on in {wait_s:.0f} seconds.", wait_s)
        cast = Cast(answers, *is_watched, replays, max(0.0, now - ballot.issued), now, self._version, marks)
        kept = self.store.keep(name, cast)
        self._dealer.voted(name)
        return True if kept is Kept.NEW else self._again(kept)

    def skip(self, rater: Rater, name: str) -> None:
        """Take a pair back that does not play in the rater's browser; it is not shown to this rater again.

        Raises:
            RefusedError: this rater was not shown it, or has skipped too many.
        """
        self._own(rater, name)
        if (wait_s := self._skips.take(rater.id, self._clock())) > 0:
            raise RefusedError(429, "too_many", "Too many skipped pairs; please tell who runs the arena.", wait_s)
        self._dealer.voted(name)

    def _own(self, rater: Rater, name: str) -> Ballot:
        ballot = self.store.ballot(name) if _may_be_drawn(name, 100) else None
        if ballot is None or ballot.rater != rater.id:
            raise RefusedError(404, "never_shown", "This pair was never shown to you.")
        return ballot

    def _marks(self, ballot: Ballot, latency_s: float, is_watched: tuple[bool, bool]) -> tuple[Mark, ...]:
        lengths = [self._clips[clip].seconds for clip in (ballot.left_clip, ballot.right_clip)]
        is_required = self.rules.watch is Watch.REQUIRED
        # Both are played with the sound of one, and then with that of the other.
        least_s = _SLACK * (sum(lengths) if is_required else max(lengths))
        marks = []
        if latency_s < least_s:
            marks.append(Mark.FAST)
        if not all(is_watched):
            marks.append(Mark.UNWATCHED)
        if marks and is_required:
            raise RefusedError(
                422, str(marks[0]), "Please watch both clips to their ends first.", max(0.0, least_s - latency_s)
            )
        return tuple(marks)

    @staticmethod
    def _again(kept: Kept) -> bool:
        if kept is Kept.OTHER:
            raise RefusedError(409, "voted", "You have voted on this pair; the first vote stands.")
        return False


def _may_be_drawn(name: str, most: int) -> bool:
    """Say whether a name may be one that was drawn by chance: databases take no other letters, and raise at some."""
    return 0 < len(name) <= most and name.isascii() and name.isprintable()
