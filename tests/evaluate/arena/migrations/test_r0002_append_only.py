"""The second revision, on a database of the first one with votes in it."""

import pytest

from arena_kit import vote
from mova.database.database import Database
from mova.evaluate.arena.contents import NewClip, NewPrompt
from mova.evaluate.arena.folder import TABLES
from mova.evaluate.arena.store import Store


@pytest.fixture
def store(empty_url):
    database = Database(empty_url, TABLES)
    database.upgrade("0001")
    made = Store(database)
    clips = (NewClip("a", 0, "a.mp4", 1.0), NewClip("b", 0, "b.mp4", 1.0))
    made.fill("title", ("a", "b"), [NewPrompt("prompt 1", "text", "", clips)])
    made.add_votes([vote(1, "a", "b", "left")], 0.0)
    yield made
    database.close()


def test_votes_of_the_first_revision_stay_and_can_no_longer_be_changed(store):
    before = store.votes()
    store.database.upgrade()
    assert store.database.revision() == TABLES.latest
    assert store.votes() == before
    assert len(before) == 1
    for deed in ("UPDATE votes SET overall = 'right'", "DELETE FROM votes", "DELETE FROM ballots"):
        with pytest.raises(Exception, match="only added to"), store.database.writing() as run:
            run.run(deed)
    assert store.votes() == before
    assert store.add_votes([vote(12, "b", "a", "tie")], 0.0) == (1, 0)
