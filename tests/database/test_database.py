"""Two databases, one way to use them."""

import threading

import pytest

from mova.database.database import Database, check_url, is_failure, sqlite_url
from mova.errors import ConfigError
from small_tables import write_tables


@pytest.fixture
def database(empty_url, tmp_path):
    made = Database(empty_url, write_tables(tmp_path))
    yield made
    made.close()


def test_tables_are_made_once(database):
    assert database.revision() is None
    database.upgrade()
    database.upgrade()
    assert database.revision() == "0002"


def test_tables_of_a_former_version_are_brought_on(database):
    database.upgrade("0001")
    with database.writing() as run:
        run.run("INSERT INTO facts (name, value) VALUES ('kept', '')")
    database.upgrade()
    database.upgrade("0001")
    assert database.revision() == "0002"
    with database.reading() as run:
        assert run.rows("SELECT name, moment FROM facts") == [{"name": "kept", "moment": None}]


def add_and_fail(database):
    with database.writing() as run:
        run.run_all("INSERT INTO facts (name, value) VALUES (:name, '')", [{"name": "a"}])
        run.rows("SELECT * FROM nothing")


def test_a_block_that_fails_leaves_nothing(database):
    database.upgrade()
    with pytest.raises(Exception, match="nothing"):
        add_and_fail(database)
    with database.reading() as run:
        assert run.rows("SELECT * FROM facts") == []


def test_threads_wait_for_each_other(database):
    database.upgrade()

    def add(thread):
        for number in range(10):
            with database.writing() as run:
                run.run("INSERT INTO facts (name, value) VALUES (:name, '')", name=f"{thread} {number}")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as run:
        assert run.rows("SELECT COUNT(*) AS n FROM facts")[0]["n"] == 80


def test_a_database_of_a_newer_version_is_refused(database):
    database.upgrade()
    with database.writing() as run:
        run.run("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="of tests must be of revision 0001, 0002, got 9999, which a newer"):
        database.upgrade()


def test_what_is_committed_is_on_the_disk(database):
    with database.reading() as run:
        if database.is_sqlite:
            assert run.rows("PRAGMA synchronous")[0]["synchronous"] == 2
            assert run.rows("PRAGMA journal_mode")[0]["journal_mode"] == "wal"
        else:
            assert run.rows("SHOW synchronous_commit")[0]["synchronous_commit"] == "on"


def test_errors_of_the_database_are_known(database):
    with pytest.raises(Exception, match="nothing") as caught, database.reading() as run:
        run.rows("SELECT * FROM nothing")
    assert is_failure(caught.value)
    assert not is_failure(ValueError())


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://host/name", "such as postgresql://host/name, got mysql"),
        ("name", "such as postgresql://"),
        ("postgresql://user:secret@host/name", "no password"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url, text):
    with pytest.raises(ConfigError, match=text):
        check_url(url, "the folder")


def test_a_url_names_its_driver(tmp_path):
    assert check_url("postgresql://user@host/name", "") == "postgresql+psycopg://user@host/name"
    assert check_url(check_url("postgresql:///name?host=/run", ""), "") == "postgresql+psycopg:///name?host=/run"
    assert sqlite_url(tmp_path / "x").startswith("sqlite:////")


@pytest.mark.services
def test_one_process_at_a_time_holds_a_database_of_a_server(postgres, tmp_path):
    url, tables = postgres("held"), write_tables(tmp_path)
    one, other = Database(url, tables), Database(url, tables)
    with one.alone(0.0), pytest.raises(ConfigError, match="may serve the database of tests"), other.alone(0.2):
        pass
    with other.alone(5.0):
        pass
    one.close()
    other.close()
