"""Files of jobs: in a folder, or in any storage that fsspec reaches. Names are made here, and nowhere else.

| name | what it is |
| --- | --- |
| `uploads/HEX.png` | an input that somebody sent; several jobs may use it |
| `jobs/ID/3_video.mp4` | what the third attempt at a job has made |
| `jobs/ID/checkpoint.safetensors` | how far the job is, for whoever goes on with it |

A file is there as a whole or not at all.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mova.errors import ConfigError, MissingExtraError, MovaError
from mova.files.json_file import shorten
from mova.files.replacing import replacing

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_JOB: Final = r"video_[0-9a-f]{32}"
_NAME: Final = re.compile(rf"(?:uploads/[0-9a-f]{{32}}|jobs/{_JOB}/[a-z0-9_]{{1,40}})\.[a-z0-9]{{1,12}}")
_CHUNK: Final = 1 << 20


class DiskFullError(MovaError):
    """There is no room for a file; nothing of it is left."""


class Artifacts:
    """Files of jobs.

    Args:
        url: folder, or a URL that fsspec knows.

    Raises:
        ConfigError: it cannot be reached.
        MissingExtraError: fsspec, or what it needs for this storage, is not installed.
    """

    def __init__(self, url: str) -> None:
        self._system, self._root = _system(url)
        self._folder = Path(self._root) if "file" in _protocols(self._system) else None
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"the folder of artifacts must be writable, got {url}: {error.strerror}") from error

    @staticmethod
    def new_upload(suffix: str) -> str:
        """Return a name for an input.

        Args:
            suffix: of 1 to 12 small letters and digits, such as `png`.
        """
        return _checked(f"uploads/{secrets.token_hex(16)}.{suffix}")

    @staticmethod
    def made_by(job: str, attempt: int, kind: str, suffix: str) -> str:
        """Return the name of what an attempt at a job makes."""
        return _checked(f"jobs/{job}/{attempt}_{kind}.{suffix}")

    @staticmethod
    def checkpoint(job: str) -> str:
        """Return the name of how far a job is."""
        return _checked(f"jobs/{job}/checkpoint.safetensors")

    def path(self, name: str) -> Path | None:
        """Return where a file is on this machine; None where the storage is elsewhere."""
        inside = _checked(name)
        return None if self._folder is None else self._folder / inside

    def put(self, name: str, content: bytes) -> None:
        """Write a file; one of this name is replaced.

        Raises:
            DiskFullError: there is no room.
            OSError: it cannot be written.
        """
        with self._writing(name) as path:
            path.write_bytes(content)

    def put_file(self, name: str, source: Path) -> None:
        """Copy a file of this machine; errors as of `put`."""
        with self._writing(name) as path:
            shutil.copyfile(source, path)

    def exists(self, name: str) -> bool:
        """Say whether there is a file."""
        return bool(self._system.exists(self._place(name)))

    def size(self, name: str) -> int:
        """Return the bytes of a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        return int(self._system.info(self._place(name))["size"])

    def read(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield a file in parts.

        Args:
            name: of the file.
            start, end: which of its bytes, the last one excluded; None reads to its end.

        Raises:
            FileNotFoundError: it is not there.
        """
        with self._system.open(self._place(name), "rb") as file:
            file.seek(start)
            left = None if end is None else max(0, end - start)
            while left is None or left > 0:
                part: bytes = file.read(_CHUNK if left is None else min(_CHUNK, left))
                if not part:
                    return
                left = None if left is None else left - len(part)
                yield part

    def read_all(self, name: str) -> bytes | None:
        """Return the bytes of a file; None where it is not there."""
        try:
            return b"".join(self.read(name))
        except FileNotFoundError:
            return None

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Give a path on this machine at which a file can be read for the time of the block.

        Raises:
            FileNotFoundError: it is not there.
        """
        path = self.path(name)
        if path is not None:
            if not path.is_file():
                raise FileNotFoundError(name)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="mova-") as folder:
            copy = Path(folder) / Path(name).name
            with copy.open("wb") as file:
                for part in self.read(name):
                    file.write(part)
            yield copy

    def delete(self, name: str) -> None:
        """Remove a file; nothing where it is not there."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._place(name))

    def delete_job(self, job: str) -> None:
        """Remove all that a job has made; nothing where nothing is there."""
        _checked(f"jobs/{job}/x.x")
        with suppress(FileNotFoundError):
            self._system.rm(f"{self._root}/jobs/{job}", recursive=True)

    def prune(self, job: str, kept: Collection[str]) -> None:
        """Remove what attempts at a job have left, but for what is kept; nothing where nothing is there."""
        _checked(f"jobs/{job}/x.x")
        with suppress(FileNotFoundError):
            for place in self._system.find(f"{self._root}/jobs/{job}"):
                if str(place).removeprefix(self._root).lstrip("/") not in kept:
                    with suppress(FileNotFoundError):
                        self._system.rm_file(place)

    def sweep(self, jobs: Collection[str], inputs: Collection[str], before_s: float) -> int:
        """Remove files that nobody knows: of whoever was ended between a file and its row.

        Args:
            jobs: ids whose files stay.
            inputs: names of uploads that stay.
            before_s: files that were changed later than this stay, in seconds since 1970.

        Returns:
            How many were removed.
        """
        removed = 0
        for folder in ("uploads", "jobs"):
            with suppress(FileNotFoundError):
                # What was known beforehand may be gone by now, what is new is spared by its age.
                found: dict[str, dict[str, Any]] = self._system.find(f"{self._root}/{folder}", detail=True)
                for place, facts in found.items():
                    name = place.removeprefix(self._root).lstrip("/")
                    owner = name.split("/")[1] if folder == "jobs" else name
                    if owner not in (jobs if folder == "jobs" else inputs) and _changed_s(facts) < before_s:
                        with suppress(FileNotFoundError):
                            self._system.rm_file(place)
                            removed += 1
        if self._folder is not None:
            _remove_empty(self._folder / "jobs", before_s)
        return removed

    def free_bytes(self) -> int | None:
        """Return for how many bytes there is room; None where nobody knows."""
        return None if self._folder is None else shutil.disk_usage(self._folder).free

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        place = self._place(name)
        try:
            if self._folder is not None:
                with replacing(Path(place)) as path:
                    yield path
                return
            with tempfile.TemporaryDirectory(prefix="mova-") as folder:
                path = Path(folder) / "content"
                yield path
                self._send(path, place)
        except OSError as error:
            if error.errno == ENOSPC:
                raise DiskFullError("There is no room for the files of the clip.") from error
            raise

    def _send(self, path: Path, place: str) -> None:
        partial = f"{place}.{secrets.token_hex(4)}.partial"
        self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
        try:
            self._system.put_file(str(path), partial)
            self._system.mv(partial, place)
        finally:
            with suppress(FileNotFoundError):
                self._system.rm_file(partial)

    def _place(self, name: str) -> str:
        return f"{self._root}/{_checked(name)}"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"the name of an artifact must be one that was made for it, got {shorten(name)}")
    return name


def _system(url: str) -> tuple[AbstractFileSystem, str]:
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fsspec", "serve") from error
    try:
        system, root = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"artifacts must be a folder or a URL that fsspec knows, got {shorten(url)}") from error
    return system, str(root).rstrip("/")


def _protocols(system: AbstractFileSystem) -> tuple[str, ...]:
    named = system.protocol
    return (named,) if isinstance(named, str) else tuple(named)


def _changed_s(facts: dict[str, Any]) -> float:
    changed = facts.get("mtime") or facts.get("LastModified") or facts.get("created") or 0.0
    return float(changed) if isinstance(changed, int | float) else float(changed.timestamp())


def _remove_empty(folder: Path, before_s: float) -> None:
    for inner in folder.glob("video_*"):
        # One that is being filled right now is not empty, or becomes so again.
        with suppress(OSError):
            if inner.stat().st_mtime < before_s:
                os.rmdir(inner)  # noqa: PTH106 (only where it is empty)
