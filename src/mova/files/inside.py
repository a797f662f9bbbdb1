"""Names and links in folders that strangers made: what stays inside of them, and what leads out."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mova.errors import MovaError
from mova.files.json_file import shorten

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")


def is_plain_name(name: object) -> bool:
    """Say whether a name is that of one file or folder: no separators, no `..`, no drive, not hidden."""
    return isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None


def check_plain_name(name: object, where: str, *, error: type[MovaError]) -> str:
    """Return a name that is plain.

    Args:
        name: as a stranger wrote it.
        where: it stands: file and key.
        error: class to raise.

    Raises:
        MovaError: of the class `error`: it could reach another folder.
    """
    if not isinstance(name, str) or not is_plain_name(name):
        raise error(f"{where} must be a plain name (letters, digits, '_', '-', '.'; no folders), got {shorten(name)}")
    return name


def leads_out(path: Path, folder: Path) -> bool:
    """Say whether a path in a folder reaches, through links, something outside of it.

    In a snapshot of the hub's cache every file is a link into the `blobs` of the same repository: these count as
    inside, and only these.

    Args:
        path: that begins with `folder`; it may not exist.
        folder: may be a link itself: the user named it.
    """
    try:
        root, real = folder.resolve(), path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return True
    if real.is_relative_to(root):
        return False
    for snapshots in root.parents[:2]:  # the folder is a snapshot, or a component in one
        if snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--"):
            return real.parent != snapshots.parent / "blobs"
    return True


def check_inside(path: Path, folder: Path, *, error: type[MovaError]) -> None:
    """Refuse a path that `leads_out`.

    Raises:
        MovaError: of the class `error`.
    """
    if leads_out(path, folder):
        raise error(
            f"{path} is a link to {os.path.realpath(path)}, outside of {folder}; only what lies there is copied "
            "(put the file itself there)"
        )
