"""Migrations run on the connection that they are given."""

import pytest

from mova.database.database import Database
from small_tables import write_tables


def test_a_migration_that_cannot_run_changes_nothing(empty_url, tmp_path):
    database = Database(empty_url, write_tables(tmp_path))
    with database.writing() as run:
        run.run("CREATE TABLE places (id INTEGER)")
    with pytest.raises(Exception, match="places"):
        database.upgrade()
    with pytest.raises(Exception, match="facts"), database.reading() as run:
        run.rows("SELECT * FROM facts")
    assert database.revision() is None
    database.close()
