"""Files that are complete, or as they were before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mova.files.unfinished import unfinished


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a file to write that takes the name `path` when the block ends well, and is then on the disk.

    It lies beside `path`, whose folder is made where it is missing.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")) as partial:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    # Not everywhere can folders be brought to the disk.
    with suppress(OSError):
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
