"""Empty databases: a SQLite file, and Debian's PostgreSQL where it is installed.

Without PostgreSQL its tests are skipped, and fail where MOVA_SERVICES is 1.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mova.database.database import sqlite_url


def _postgres_folder() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        if os.environ.get("MOVA_SERVICES") == "1":
            pytest.fail("PostgreSQL is needed here: apt-get install postgresql")
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def running_postgres() -> Iterator[Callable[[str], str]]:
    """Give a running server; called with the name of a new database, it makes that and returns its URL."""
    programs = _postgres_folder()
    # The server refuses to run as root, and a socket's path has at most 107 letters.
    user = "postgres" if os.getuid() == 0 else None
    folder = Path("/tmp") / f"mova-pg-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o755)
    if user:
        shutil.chown(folder, user)
    data = folder / "data"

    def run(program: str, *words: str) -> None:
        command = [str(programs / program), *words]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "--pgdata", str(data), "--auth=trust", "--username=mova", "--no-sync", "--encoding=UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=60"
        run("pg_ctl", "--pgdata", str(data), "--wait", "--log", str(folder / "log"), "--options", options, "start")

        def made(name: str) -> str:
            run("createdb", "--host", str(folder), "--username", "mova", name)
            return f"postgresql+psycopg://mova@/{name}?host={folder}"

        yield made
    finally:
        if (data / "postmaster.pid").exists():
            run("pg_ctl", "--pgdata", str(data), "--mode", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[str], str]]:
    """A running server, see `running_postgres`."""
    with running_postgres() as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: of SQLite, and of PostgreSQL."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "empty.sqlite")
    made: str = request.getfixturevalue("postgres")(f"mova_{secrets.token_hex(6)}")
    return made
