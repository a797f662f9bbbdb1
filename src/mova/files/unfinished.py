"""Temporary files and folders: removed at the end of their block, or when an interruption came before the block could.

An interruption may strike between the making of a temporary file and the block that removes it, or inside the removal.
A path is therefore noted before it is made, and whoever ends the process removes what is still noted.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# With the process that noted it: one that was forked leaves it alone.
_NOTED: dict[Path, int] = {}


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Remove `path`, a file or a folder that may not exist yet, when the block ends in whatever way.

    What the block has renamed is no longer there, and stays.
    """
    _NOTED[path] = os.getpid()
    try:
        yield path
    finally:
        _remove(path)
        _NOTED.pop(path, None)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder in the system's place for temporary ones, readable to the user alone; gone when the block ends."""
    with unfinished(Path(tempfile.gettempdir(), prefix + secrets.token_hex(8))) as folder:
        folder.mkdir(mode=0o700)
        yield folder


def remove_unfinished() -> None:
    """Remove everything that this process has noted and not yet removed."""
    for path, owner in list(_NOTED.items()):
        if owner == os.getpid():
            _remove(path)
        _NOTED.pop(path, None)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
