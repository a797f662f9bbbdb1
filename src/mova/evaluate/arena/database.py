"""The database of an arena: SQLite by default, PostgreSQL by URL, its tables made and changed by migrations.

All queries are plain SQL that both understand; this file alone knows SQLAlchemy and alembic. What is committed is on
the disk: SQLite writes its log through at every commit, PostgreSQL waits for its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mova.errors import ConfigError, MissingExtraError
from mova.files.json_file import shorten_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LATEST: Final = "0002"
"""Revision of the tables that this version works with."""
_REVISIONS: Final = ("0001", LATEST)
_WAIT_S: Final = 30.0

Value = str | int | float | bool | None


class Transaction:
    """What runs inside of one transaction.

    Args:
        connection: of SQLAlchemy.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **values: Value) -> Sequence[Mapping[str, Value]]:
        """Return all rows of a query; `:name` stands for a value."""
        from sqlalchemy import text

        return [dict(row) for row in self._connection.execute(text(sql), values).mappings()]

    def run(self, sql: str, **values: Value) -> int:
        """Run a statement; return how many rows it has touched."""
        from sqlalchemy import text

        return int(self._connection.execute(text(sql), values).rowcount)

    def run_all(self, sql: str, rows: Sequence[Mapping[str, Value]]) -> None:
        """Run a statement for each of many rows."""
        from sqlalchemy import text

        if rows:
            self._connection.execute(text(sql), [dict(row) for row in rows])


class Database:
    """Connections to a database.

    Args:
        url: as SQLAlchemy writes it; see `check_url` and `sqlite_url`.

    Raises:
        MissingExtraError: SQLAlchemy, or psycopg for PostgreSQL, is not installed.
    """

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self._engine = _make_engine(url, is_sqlite=self.is_sqlite)
        # One writer at a time is SQLite's rule; waiting in a queue of ours is fairer than its polling.
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Give a transaction that only reads."""
        with self._engine.connect() as connection, connection.begin():
            yield Transaction(connection)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Give a transaction that is committed, and on the disk, when the block has ended well."""
        with (
            self._turn,
            self._engine.connect().execution_options(is_writing=True) as connection,
            connection.begin(),
        ):
            yield Transaction(connection)

    def revision(self) -> str | None:
        """Return the revision of the tables; None for an empty database.

        Raises:
            ConfigError: the database cannot be reached.
        """
        from alembic.runtime.migration import MigrationContext
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.connect() as connection:
                found: str | None = MigrationContext.configure(connection).get_current_revision()
                return found
        except SQLAlchemyError as error:
            reason = shorten_text(str(getattr(error, "orig", error)).strip(), 300)
            raise ConfigError(f"the database of the arena must be reachable, got: {reason}") from error

    def upgrade(self, revision: str = LATEST) -> None:
        """Bring the tables to a revision, of which all changes are made or none.

        Raises:
            ConfigError: the database cannot be reached, or is of a newer version.
        """
        from alembic import command
        from alembic.config import Config

        found = self.revision()
        if found is not None and found not in _REVISIONS:
            raise ConfigError(
                f"the database of the arena must be of revision {', '.join(_REVISIONS)}, got {found}, which a newer "
                "version of mova has made"
            )
        if found is not None and found >= revision:
            return
        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self._turn, self._engine.connect().execution_options(is_writing=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def is_failure(error: BaseException) -> bool:
    """Say whether an error is the database's: it is away, full, or refuses."""
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, SQLAlchemyError)


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite:///{path.absolute()}"


def check_url(url: str) -> str:
    """Return the URL of a PostgreSQL database with its driver named.

    Raises:
        ConfigError: it is another kind of URL, or holds a password.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError(
            f"a database must be a URL such as postgresql://host/name, got {shorten_text(scheme)}; without one it is "
            "SQLite in the folder of the arena"
        )
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at and ":" in user:
        raise ConfigError(
            "a database URL must hold no password, since it is kept in the folder of the arena; put it into "
            "~/.pgpass or PGPASSWORD"
        )
    return f"postgresql+psycopg://{rest}"


def _make_engine(url: str, *, is_sqlite: bool) -> Engine:
    try:
        import alembic  # noqa: F401 (both or neither)
        from sqlalchemy import create_engine, event
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "sqlalchemy", "arena") from error
    if not is_sqlite:
        try:
            # Servers may be told not to wait for the disk; a vote that is acknowledged has to be there.
            return create_engine(
                url,
                pool_size=8,
                max_overflow=16,
                pool_pre_ping=True,
                connect_args={"connect_timeout": 10, "options": "-c synchronous_commit=on"},
            )
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "psycopg", "postgres") from error
    engine = create_engine(
        url,
        pool_size=8,
        max_overflow=40,
        connect_args={"timeout": _WAIT_S, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine
