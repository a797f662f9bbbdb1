"""Migrations run on the connection that they are given."""

import pytest

from mova.evaluate.arena.database import Database


def test_a_migration_that_cannot_run_changes_nothing(empty_url):
    database = Database(empty_url)
    with database.writing() as run:
        run.run("CREATE TABLE votes (id INTEGER)")
    with pytest.raises(Exception, match="votes"):
        database.upgrade()
    with pytest.raises(Exception, match="raters"), database.reading() as run:
        run.rows("SELECT * FROM raters")
    assert database.revision() is None
    database.close()
