"""A database: SQLite by default, PostgreSQL by URL, its tables made and changed by migrations.

All queries are plain SQL that both understand; this file and the migrations alone know SQLAlchemy and alembic. What is
committed is on the disk: SQLite writes its log through at every commit, PostgreSQL waits for its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mova.errors import ConfigError, MissingExtraError
from mova.files.json_file import shorten_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_SCRIPTS: Final = Path(__file__).parent / "scripts"
_WAIT_S: Final = 30.0
_ALONE: Final = int.from_bytes(b"mova")
"""Number of the lock; each database of a server has locks of its own."""

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Tables:
    """The tables that a database has, and how they came to be.

    Attributes:
        versions: folder of the migrations.
        revisions: all that this version knows, the oldest first.
        title: what the database is called in errors, such as `the database of the arena`.
        extra: of this package, which brings SQLAlchemy and alembic.
    """

    versions: Path
    revisions: tuple[str, ...]
    title: str
    extra: str

    @property
    def latest(self) -> str:
        """Revision that this version works with."""
        return self.revisions[-1]


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
        tables: that it has, or gets by `upgrade`.
        wait_s: for how long a writer of SQLite waits for others, in seconds.

    Raises:
        MissingExtraError: SQLAlchemy, or psycopg for PostgreSQL, is not installed.
    """

    def __init__(self, url: str, tables: Tables, *, wait_s: float = _WAIT_S) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self._tables = tables
        self._engine = _make_sqlite(url, tables.extra, wait_s) if self.is_sqlite else _make_postgres(url, tables.extra)
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

    @contextmanager
    def alone(self, wait_s: float) -> Iterator[None]:
        """Hold a PostgreSQL database for the time of the block, against others who ask for the same.

        It is free again when this process ends, however it ends, and when the server does. Whose database is a SQLite
        file holds its folder instead.

        Args:
            wait_s: how long to wait for another holder; of one that was killed the server learns a moment later.

        Raises:
            ConfigError: another process holds it.
        """
        if self.is_sqlite:
            yield
            return
        from sqlalchemy import text

        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            until = time.monotonic() + wait_s
            while not connection.execute(text(f"SELECT pg_try_advisory_lock({_ALONE})")).scalar():
                if time.monotonic() >= until:
                    raise ConfigError(
                        f"one process at a time may serve {self._tables.title}, which another one does; let it end"
                    )
                time.sleep(0.1)
            try:
                yield
            finally:
                # The lock is the connection's, which must not go back among the others.
                connection.invalidate()

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
            raise ConfigError(f"{self._tables.title} must be reachable, got: {reason}") from error

    def upgrade(self, revision: str | None = None) -> None:
        """Bring the tables to a revision, of which all changes are made or none.

        Args:
            revision: the latest where it is None.

        Raises:
            ConfigError: the database cannot be reached, or is of a newer version.
        """
        from alembic import command
        from alembic.config import Config

        revision = revision or self._tables.latest
        if self._has(revision):
            return
        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = Config()
        for name, folder in (("script_location", _SCRIPTS), ("version_locations", self._tables.versions)):
            config.set_main_option(name, str(folder).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        with self._turn, self._engine.connect().execution_options(is_writing=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    def _has(self, revision: str) -> bool:
        found, known = self.revision(), self._tables.revisions
        if found is not None and found not in known:
            raise ConfigError(
                f"{self._tables.title} must be of revision {', '.join(known)}, got {found}, which a newer version of "
                "mova has made"
            )
        return found is not None and known.index(found) >= known.index(revision)

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


def check_url(url: str, home: str) -> str:
    """Return the URL of a PostgreSQL database with its driver named.

    Args:
        url: to check.
        home: what keeps the URL, and has the SQLite database without one, such as `the folder of the arena`.

    Raises:
        ConfigError: it is another kind of URL, or holds a password.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError(
            f"a database must be a URL such as postgresql://host/name, got {shorten_text(scheme)}; without one it is "
            f"SQLite in {home}"
        )
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at and ":" in user:
        raise ConfigError(
            f"a database URL must hold no password, since it is kept in {home}; put it into ~/.pgpass or PGPASSWORD"
        )
    return f"postgresql+psycopg://{rest}"


def _make_postgres(url: str, extra: str) -> Engine:
    create_engine, _ = _sqlalchemy(extra)
    try:
        # Servers may be told not to wait for the disk; what is acknowledged has to be there.
        return create_engine(
            url,
            pool_size=8,
            max_overflow=16,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "options": "-c synchronous_commit=on"},
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "psycopg", "postgres") from error


def _make_sqlite(url: str, extra: str, wait_s: float) -> Engine:
    create_engine, event = _sqlalchemy(extra)
    engine = create_engine(
        url,
        pool_size=8,
        max_overflow=40,
        connect_args={"timeout": wait_s, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # Pages that each of many connections keeps: half a MiB, not two.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-512"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _sqlalchemy(extra: str) -> tuple[Callable[..., Engine], Any]:
    try:
        import alembic  # noqa: F401 (both or neither)
        from sqlalchemy import create_engine, event
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "sqlalchemy", extra) from error
    return create_engine, event
