"""Folders that appear complete or not at all, with the modes that the user's umask asks for."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mova.errors import ConfigError, MovaError
from mova.files.unfinished import unfinished

_SUFFIX = ".partial"


@contextmanager
def complete_or_absent(target: Path, *, error: type[MovaError] = ConfigError) -> Iterator[Path]:
    """Give a folder to write into that takes the target's name when all is done, and is removed if anything fails.

    Args:
        target: must not exist yet, or be an empty folder.
        error: class to raise.

    Raises:
        MovaError: of the class `error`: the folder cannot be made, or something has the target's name by now.
    """
    with staging_folder(target, error=error) as staging:
        yield staging
        try:
            staging.replace(target)
        except OSError as problem:
            raise error(f"{target} must not exist yet, and cannot be made: {problem}") from problem


@contextmanager
def staging_folder(target: Path, *, error: type[MovaError] = ConfigError) -> Iterator[Path]:
    """Give a new folder beside the target, gone at the end of the block unless it was renamed.

    What an earlier process that was killed left of the same target is removed first; what a living one writes is not.

    Raises:
        MovaError: of the class `error`: the folder cannot be made.
    """
    with contextlib.ExitStack() as held:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(target)
            staging = held.enter_context(unfinished(target.parent / f".{target.name}.{secrets.token_hex(4)}{_SUFFIX}"))
            staging.mkdir()
            held.enter_context(_lock(staging))
            # Who looked for leftovers between these two calls has taken it for one.
            staging.mkdir(exist_ok=True)
        except OSError as problem:
            raise error(f"{target} cannot be written: {problem}") from problem
        yield staging


def give_usual_mode(path: Path) -> None:
    """Give a file the mode that any new file has: some libraries write files that nobody else may read."""
    # The umask of a process cannot be read without being changed; a new file shows it.
    probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        probe.unlink()
    path.chmod(mode)


def _remove_leftovers(target: Path) -> None:
    head = f".{target.name}."
    for path in target.parent.iterdir():
        number = path.name.removeprefix(head).removesuffix(_SUFFIX)
        if path.name != f"{head}{number}{_SUFFIX}" or len(number) != 8 or path.is_symlink() or not path.is_dir():
            continue
        with contextlib.suppress(OSError), _lock(path) as is_free:
            if is_free:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Lock a folder itself: a file in it would have to be gone before the folder gets its name.

    Yields:
        Whether it is ours. Where folders cannot be locked (Windows, some network drives) the answer is no, and what was
        left stays.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = True
        except OSError:
            is_ours = False
        yield is_ours
    finally:
        os.close(handle)
