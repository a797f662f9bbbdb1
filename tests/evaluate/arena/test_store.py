"""What an arena keeps: on SQLite and on PostgreSQL alike."""

import dataclasses
import threading

import pytest

from arena_kit import vote
from mova.database.database import Database
from mova.errors import ConfigError
from mova.evaluate.arena.contents import Ballot, Cast, Kept, NewClip, NewPrompt
from mova.evaluate.arena.folder import TABLES
from mova.evaluate.arena.records import Answer, Criterion, Mark
from mova.evaluate.arena.store import Store

LEFT = {Criterion.OVERALL: Answer.LEFT, Criterion.SYNC: Answer.TIE}


def filled(store):
    prompts = [
        NewPrompt(f"prompt {n}", f"text {n}", "speech", tuple(NewClip(m, 0, f"{m}{n}.mp4", 2.0) for m in "abc"))
        for n in range(12)
    ]
    store.fill("Title", ("a", "b", "c"), prompts)
    return store


@pytest.fixture
def store(empty_url):
    database = Database(empty_url, TABLES)
    database.upgrade()
    yield filled(Store(database))
    database.close()


def given_out(store, name="one", rater="Ida"):
    secret = store.add_rater(rater, 0.0)
    ballot = Ballot(name, store.rater_of(secret).id, 1, 2, 100.0, 200.0)
    store.issue(ballot)
    return ballot


def cast(answers=LEFT, **changes):
    return dataclasses.replace(Cast(answers, True, False, 2, 30.5, 130.5, "1.0", (Mark.UNWATCHED,)), **changes)


def test_a_vote_is_kept_once_with_everything(store):
    ballot = given_out(store)
    assert store.ballot("one") == ballot
    assert store.ballot("two") is None
    assert store.answers("one") is None
    assert store.keep("one", cast()) is Kept.NEW
    assert store.keep("one", cast()) is Kept.SAME
    assert store.keep("one", cast({Criterion.OVERALL: Answer.RIGHT})) is Kept.OTHER
    (kept,) = store.votes()
    assert kept.answers == LEFT == store.answers("one")
    assert (kept.rater, kept.prompt, kept.category, kept.left, kept.right) == ("Ida", "prompt 0", "speech", "a", "b")
    assert (kept.watched_left, kept.watched_right, kept.replays, kept.latency_s) == (True, False, 2, 30.5)
    assert (kept.issued, kept.voted) == ("1970-01-01T00:01:40.000000+00:00", "1970-01-01T00:02:10.500000+00:00")
    assert kept.marks == (Mark.UNWATCHED,)
    assert store.ballots() == [(ballot, True)]
    assert store.facts().num_votes == 1


def test_many_who_send_the_same_ballot_at_once_make_one_vote(store):
    given_out(store)
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(store.keep("one", cast()))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.name for one in outcomes) == ["NEW"] + ["SAME"] * 11
    assert store.facts().num_votes == 1


def test_a_vote_without_a_ballot_cannot_be_kept(store):
    with pytest.raises(Exception, match=r"FOREIGN KEY|foreign key"):
        store.keep("never shown", cast())
    assert store.votes() == []


def test_secrets_are_kept_as_digests_and_can_be_renewed(store):
    secret = store.add_rater("Ida", 0.0)
    assert store.rater_of(secret).name == "Ida"
    assert store.rater_of("") is None
    assert store.rater_of(secret + "x") is None
    with store.database.reading() as run:
        assert secret not in str(run.rows("SELECT * FROM raters"))
    with pytest.raises(ConfigError, match="'Ida', which is known"):
        store.add_rater("Ida", 0.0)
    renewed = store.add_rater("Ida", 0.0, renew=True)
    assert store.rater_of(secret) is None
    assert store.rater_of(renewed).name == "Ida"
    with pytest.raises(ConfigError, match="printable"):
        store.add_rater("", 0.0)


def test_votes_of_another_arena_are_added_once(store):
    votes = [vote(number, "a", "b", "left") for number in range(5)]
    assert store.add_votes(votes[:3], 1.0) == (3, 0)
    assert store.add_votes(votes, 1.0) == (2, 3)
    assert [dataclasses.replace(one, category="") for one in store.votes()] == votes
    with pytest.raises(ConfigError, match="no clip of 'd' for 'prompt 7'"):
        store.add_votes([vote(6, "a", "b", "tie"), vote(7, "a", "d", "tie")], 1.0)
    with pytest.raises(ConfigError, match="ISO 8601, got 'today'"):
        store.add_votes([vote(8, "a", "b", "tie", voted="today")], 1.0)
    assert store.facts().num_votes == 5, "all or nothing"


def test_a_rater_who_came_with_votes_has_no_secret_until_a_link_is_made(store):
    store.add_votes([vote(1, "a", "b", "left")], 1.0)
    with pytest.raises(ConfigError, match="known"):
        store.add_rater("rater 1", 2.0)
    assert store.rater_of(store.add_rater("rater 1", 2.0, renew=True)).name == "rater 1"
