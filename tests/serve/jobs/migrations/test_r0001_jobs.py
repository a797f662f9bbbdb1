"""The first revision."""

from mova.database.database import Database
from mova.serve.jobs.rows import TABLES


def test_it_makes_the_tables_and_says_that_the_queue_runs(empty_url):
    database = Database(empty_url, TABLES)
    database.upgrade("0001")
    assert database.revision() == "0001"
    with database.reading() as run:
        for table in ("jobs", "inputs", "request_keys", "workers"):
            assert run.rows(f"SELECT * FROM {table}") == []
        assert run.rows("SELECT value FROM facts WHERE name = 'paused'") == [{"value": "no"}]
    database.close()
