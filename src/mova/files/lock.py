"""One process at a time in a folder: a lock that names who holds it and that a crash sets free."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mova.errors import ConfigError, MovaError
from mova.files.json_file import parse_json, shorten_text

LOCK_FILE = ".lock"
"""Stays in the folder when the lock is free: to remove it would race with who takes it next."""
OWNER_FILE = ".lock.owner"
"""Says who holds the lock; a file of its own, since on Windows the locked file cannot be read."""


@contextmanager
def lock_folder(
    folder: Path, what: str, *, wait_s: float = 0.0, error: type[MovaError] = ConfigError
) -> Iterator[None]:
    """Hold a folder for the time of the block. The operating system frees it when the process ends, however it ends.

    A second holder in the same process is refused as one of another process is.

    Args:
        folder: made where it is missing.
        what: the folder is, for error texts: "run folder", "cache".
        wait_s: how long to wait for another holder; by default not at all.
        error: class to raise.

    Raises:
        MovaError: of the class `error`: another process holds the folder (the text says which), or the folder cannot be
            made, written or locked.
    """
    # Imported here: `mova --help` reads and locks nothing.
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_FILE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait_s)
    except (Timeout, RuntimeError):  # the second: held by this very thread
        raise error(
            f"one process at a time may use the {what} {folder}, which {_holder(folder)} uses; let it end, or choose "
            "another folder"
        ) from None
    except (OSError, NotImplementedError) as problem:
        raise error(f"the {what} {folder} must be a folder that can be written and locked: {problem}") from problem
    try:
        _note_owner(folder, error, what)
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / OWNER_FILE).unlink()
        lock.release()


def _note_owner(folder: Path, error: type[MovaError], what: str) -> None:
    facts = {"pid": os.getpid(), "host": socket.gethostname(), "command": shorten_text(" ".join(sys.argv))}
    partial = folder / f"{OWNER_FILE}.{os.getpid()}.partial"
    try:
        partial.write_text(json.dumps(facts), encoding="utf-8")
        partial.replace(folder / OWNER_FILE)
    except OSError as problem:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise error(f"the {what} {folder} must be a folder that can be written: {problem}") from problem


def _holder(folder: Path) -> str:
    """Say who holds a folder, as far as it is known: between taking the lock and saying so a moment passes."""
    try:
        with (folder / OWNER_FILE).open("rb") as file:
            facts = parse_json(file.read(4096), OWNER_FILE, error=ConfigError)
        pid, host, command = (shorten_text(str(facts[name])) for name in ("pid", "host", "command"))
    except (OSError, ConfigError, KeyError, TypeError, IndexError):
        return "another process"
    return f"process {pid} on {host} ({command})"
