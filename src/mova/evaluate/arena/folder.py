"""The folder of an arena.

| file | what it holds |
| --- | --- |
| `arena.json` | where the database is; it is there when the arena is complete |
| `arena.sqlite` | models, prompts, raters, ballots and votes, unless a PostgreSQL database has them |
| `media/` | copies of the clips, under names that say nothing |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mova.database.database import Database, Tables, check_url, sqlite_url
from mova.errors import ConfigError
from mova.files.json_file import read_object
from mova.files.lock import lock_folder
from mova.files.replacing import replacing

FACTS_FILE: Final = "arena.json"
_DATABASE_FILE: Final = "arena.sqlite"
_MEDIA: Final = "media"
_FREE_AFTER_S: Final = 5.0
_HOME: Final = "the folder of the arena"
TABLES: Final = Tables(
    Path(__file__).parent / "migrations", ("0001", "0002"), title="the database of the arena", extra="arena"
)
"""Tables of an arena's database."""


def media_folder(root: Path) -> Path:
    """Return where the clips of an arena are."""
    return root / _MEDIA


def write_facts(root: Path, database: str) -> None:
    """Say where the database of an arena is: the last thing that is written of a new one.

    Args:
        root: folder of the arena.
        database: URL of PostgreSQL; "" for SQLite in the folder.
    """
    with replacing(root / FACTS_FILE) as partial:
        partial.write_text(json.dumps({"database": database}, indent=1) + "\n", encoding="utf-8")


def new_database(root: Path, database: str) -> Database:
    """Return the database of an arena that is being made, without tables.

    Raises:
        ConfigError: the URL cannot be used or reached, or the database is that of another arena.
    """
    found = _database(root, database)
    if found.revision() is not None:
        found.close()
        raise ConfigError(f"a new arena needs an empty database, got {database or root / _DATABASE_FILE} with tables")
    return found


@contextmanager
def open_arena(root: Path) -> Iterator[Database]:
    """Give the database of an arena, its tables brought to this version.

    Raises:
        ConfigError: there is no arena, its file is damaged, or its database cannot be reached.
    """
    path = root / FACTS_FILE
    if not path.is_file():
        raise ConfigError(
            f"ARENA must be the folder of an arena, got {root} without {FACTS_FILE}; "
            "`mova evaluate arena create` makes one"
        )
    url = read_object(path, error=ConfigError).text("database")
    if not url and not (root / _DATABASE_FILE).is_file():
        raise ConfigError(f"the arena {root} must have its database {_DATABASE_FILE}, which is gone")
    database = _database(root, url)
    try:
        database.upgrade()
        yield database
    finally:
        database.close()


def _database(root: Path, url: str) -> Database:
    return Database(check_url(url, _HOME) if url else sqlite_url(root / _DATABASE_FILE), TABLES)


@contextmanager
def serving_alone(root: Path, database: Database) -> Iterator[None]:
    """Hold an arena for the time of the block: pairs are dealt in the memory of the one process that serves it.

    Args:
        root: folder of the arena.
        database: of it, which the arena of another folder may have too.

    Raises:
        ConfigError: another process serves it.
    """
    with lock_folder(root, "arena"), database.alone(_FREE_AFTER_S):
        yield
