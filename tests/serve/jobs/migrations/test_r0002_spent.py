"""The second revision."""

from mova.database.database import Database
from mova.serve.jobs.rows import TABLES


def test_seconds_that_were_asked_for_have_a_table(empty_url):
    database = Database(empty_url, TABLES)
    database.upgrade("0001")
    database.upgrade("0002")
    assert database.revision() == "0002"
    with database.reading() as run:
        assert run.rows("SELECT * FROM spent") == []
    database.close()
