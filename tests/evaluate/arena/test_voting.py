"""When a vote counts, is refused, or is marked."""

import pytest

from arena_kit import cast, copy_arena
from mova.errors import ConfigError
from mova.evaluate.arena.folder import open_arena
from mova.evaluate.arena.records import Mark, Watch
from mova.evaluate.arena.store import Store
from mova.evaluate.arena.voting import Booth, RefusedError, Rules


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(arena, tmp_path):
    with open_arena(copy_arena(arena, tmp_path / "arena")) as database:
        yield Store(database)


@pytest.fixture
def booth(store, clock):
    return Booth(store, Rules(), clock=clock, seed=0)


def rater(booth, name="Ida"):
    return booth.rater(booth.store.add_rater(name, 0.0))


def refused(work, *words):
    with pytest.raises(RefusedError) as caught:
        work(*words)
    return caught.value.status, caught.value.code


def watched(booth, who, clock):
    shown = booth.show(who)
    clock.now += 1.0
    return shown


def test_a_vote_is_taken_and_the_next_pair_is_another(booth, clock):
    who = rater(booth)
    shown = watched(booth, who, clock)
    assert shown.num_left == 6
    assert booth.vote(who, cast(shown.ballot, sync="right"))
    assert booth.show(who).ballot != shown.ballot
    (kept,) = booth.store.votes()
    assert (kept.latency_s, kept.marks, kept.rater) == (1.0, (), "Ida")


def test_the_same_vote_again_gets_the_same_reply_also_when_it_is_late_or_fast(booth, clock):
    who = rater(booth)
    shown = watched(booth, who, clock)
    assert booth.vote(who, cast(shown.ballot))
    clock.now += 1e6
    assert not booth.vote(who, cast(shown.ballot))
    assert refused(booth.vote, who, cast(shown.ballot, "right")) == (409, "voted")
    assert booth.store.facts().num_votes == 1


def test_votes_for_pairs_that_were_never_shown_are_refused(booth, clock):
    ida, ben = rater(booth), rater(booth, "Ben")
    shown = watched(booth, ida, clock)
    for name in ("invented", "", "x" * 5000):
        assert refused(booth.vote, ida, cast(name)) == (404, "never_shown")
    assert refused(booth.vote, ben, cast(shown.ballot)) == (404, "never_shown")
    assert refused(booth.file_of, ben, shown.ballot, "left") == (404, "never_shown")
    assert refused(booth.file_of, ida, shown.ballot, "middle") == (404, "no_clip")
    assert booth.file_of(ida, shown.ballot, "left") != booth.file_of(ida, shown.ballot, "right")


def test_a_late_vote_is_refused_and_the_pair_comes_again(booth, clock):
    who = rater(booth)
    shown = booth.show(who)
    clock.now += 3601
    assert refused(booth.vote, who, cast(shown.ballot)) == (410, "late")
    assert booth.show(who).num_left == 6


def test_scripted_votes_are_refused(booth, clock):
    who = rater(booth)
    shown = booth.show(who)
    clock.now += 0.2
    assert refused(booth.vote, who, cast(shown.ballot)) == (422, "fast"), "two clips of an eighth of a second"
    clock.now += 1
    assert refused(booth.vote, who, cast(shown.ballot, watched=(True, False))) == (422, "unwatched")
    assert booth.vote(who, cast(shown.ballot))


def test_where_watching_is_recorded_such_votes_are_kept_and_marked(store, clock):
    booth = Booth(store, Rules(watch=Watch.RECORDED), clock=clock, seed=0)
    who = rater(booth)
    shown = booth.show(who)
    assert booth.vote(who, cast(shown.ballot, watched=(True, False)))
    shown = booth.show(who)
    clock.now += 0.2
    assert booth.vote(who, cast(shown.ballot))
    assert [one.marks for one in store.votes()] == [(Mark.FAST, Mark.UNWATCHED), ()]


def test_too_many_votes_in_a_minute_are_refused(store, clock):
    booth = Booth(store, Rules(votes_per_minute=2), clock=clock, seed=0)
    who = rater(booth)
    for _ in range(2):
        assert booth.vote(who, cast(watched(booth, who, clock).ballot))
    shown = watched(booth, who, clock)
    assert refused(booth.vote, who, cast(shown.ballot)) == (429, "too_many")
    clock.now += 60
    assert booth.vote(who, cast(shown.ballot))


def test_who_has_judged_all_is_done(booth, clock):
    who = rater(booth)
    for _ in range(6):
        booth.vote(who, cast(watched(booth, who, clock).ballot))
    assert booth.show(who) is None


def test_a_pair_that_does_not_play_is_skipped_but_not_many_are(booth, store, clock):
    who = rater(booth)
    seen = set()
    for _ in range(5):
        shown = booth.show(who)
        seen.add(frozenset(booth.file_of(who, shown.ballot, side) for side in ("left", "right")))
        booth.skip(who, shown.ballot)
    assert len(seen) == 5
    shown = booth.show(who)
    assert refused(booth.skip, who, shown.ballot) == (429, "too_many")
    assert refused(booth.skip, rater(booth, "Ben"), shown.ballot) == (404, "never_shown")
    assert store.facts().num_votes == 0


def test_a_new_server_goes_on_with_the_same_pair(booth, store, clock):
    who = rater(booth)
    shown = watched(booth, who, clock)
    again = Booth(store, Rules(), clock=clock)
    assert again.show(who).ballot == shown.ballot
    assert again.vote(who, cast(shown.ballot))


def test_a_ballot_that_cannot_be_kept_is_not_given_out(booth, monkeypatch):
    who = rater(booth)
    monkeypatch.setattr(booth.store, "issue", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        booth.show(who)
    monkeypatch.undo()
    shown = booth.show(who)
    assert booth.store.ballot(shown.ballot) is not None


def test_foreign_secrets_are_refused(booth):
    for secret in ("", "x" * 32, "x" * 100_000):
        assert refused(booth.rater, secret) == (403, "no_rater")


def test_a_vote_of_another_form_is_refused(booth):
    who = rater(booth)
    shown = booth.show(who)
    with pytest.raises(ConfigError, match="did you mean left"):
        booth.vote(who, cast(shown.ballot, "leftt"))


def test_rules_have_bounds():
    with pytest.raises(ConfigError, match="votes per minute must be 1 to 100000, got 0; nearest is 1"):
        Rules(votes_per_minute=0)
    with pytest.raises(ConfigError, match="ballot minutes"):
        Rules(ballot_minutes=float("nan"))
