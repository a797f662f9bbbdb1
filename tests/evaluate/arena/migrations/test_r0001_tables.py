"""The first revision."""

from mova.database.database import Database
from mova.evaluate.arena.folder import TABLES


def test_it_makes_the_tables_and_not_more(empty_url):
    database = Database(empty_url, TABLES)
    database.upgrade("0001")
    assert database.revision() == "0001"
    with database.writing() as run:
        for table in ("facts", "models", "prompts", "clips", "raters", "ballots", "votes"):
            assert run.rows(f"SELECT * FROM {table}") == []
        assert run.run("DELETE FROM votes") == 0
    database.close()
