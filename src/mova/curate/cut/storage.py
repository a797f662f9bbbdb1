"""Files of footage, here or in storage that fsspec reaches: what is there, and a local copy for the time of a unit."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from mova.errors import ConfigError, DataError, MissingExtraError
from mova.files.unfinished import unfinished

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_CHUNK: Final = 4 << 20
_LOCAL: Final = ("file", "local")
# Fields by which storage tells versions of a file apart, the best first.
_VERSIONS: Final = ("ETag", "etag", "e_tag", "version", "md5Hash", "mtime", "LastModified", "last_modified", "created")
SCRATCH: Final = "scratch"
"""Folder of copies inside an output folder."""
# What another try cannot change: nothing is there, or it is not for us. The names are obstore's.
_FINAL: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError, TypeError)
_FINAL_NAMES: Final = {
    *("NotFoundError", "PermissionDeniedError", "UnauthenticatedError", "InvalidPathError", "NotSupportedError"),
    *("UnknownConfigurationKeyError", "NotImplementedError"),
}
_REFUSED: Final = re.compile(r"status code: 4(?!08|29)\d\d")
# Times and counts of tries would make two rows of one fault differ; what follows in a reply can hold keys.
_TIMING: Final = re.compile(r" in [\d.]+(?:ns|µs|ms|s)\b(?:, after .*?retry_timeout: [^ ]+)?")
_REPLY: Final = re.compile(r"<(?:\?xml|error|!doctype|html).*", re.DOTALL | re.IGNORECASE)
_SAID_IN_REPLY: Final = re.compile(r"<(?:Code|Message)>([^<]*)<")
_METADATA: Final = "169.254.169.254"
_PASSWORD: Final = re.compile(r"://[^/@:]*:[^/@]+@")


class StorageError(DataError):
    """Storage that holds a source does not give it; another source may be fine.

    Attributes:
        may_pass: whether the same may be given the next time.
    """

    def __init__(self, text: str, *, may_pass: bool = False) -> None:
        super().__init__(text)
        self.may_pass = may_pass


@dataclass(frozen=True)
class Stored:
    """A file in storage.

    Attributes:
        size_bytes: its length.
        version: what tells that its bytes were changed; "" where the storage says nothing.
    """

    size_bytes: int
    version: str


@dataclass(frozen=True)
class Fetched:
    """A source that can be read here.

    Attributes:
        path: of the file, or of its copy.
        sha256: hexadecimal digest of its bytes.
        stored: as it was when it was read.
    """

    path: Path
    sha256: str
    stored: Stored


def local_path(uri: str) -> Path | None:
    """Return the path of a file on this machine; None for storage elsewhere."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return Path(uri)
    return Path(rest) if scheme in _LOCAL else None


def describe(uri: str) -> Stored:
    """Return what storage says of a file.

    Raises:
        StorageError: it is not there, is no file, or the storage does not answer.
        MissingExtraError: what reaches this storage is not installed.
    """
    path = local_path(uri)
    if path is not None:
        try:
            facts = path.stat()
        except OSError as error:
            text = f"a source must be there, got {uri}: {error.strerror}"
            raise StorageError(text, may_pass=_may_pass(error)) from error
        if not path.is_file():
            raise StorageError(f"a source must be a file, got {uri}, which is none")
        return Stored(facts.st_size, str(facts.st_mtime_ns))
    system, name = _system(uri)
    with _told_of(uri):
        facts_of = system.info(name)
    if facts_of.get("type") != "file":
        raise StorageError(f"a source must be a file, got {uri}, which is none")
    return _stored(facts_of)


def walk(uri: str) -> Iterator[tuple[str, Stored]]:
    """Yield the files under a URL in order of their names, without hidden ones.

    Raises:
        ConfigError: there is no such folder, or the storage does not answer.
    """
    system, root = _system(uri)
    try:
        for folder, folders, files in system.walk(root, detail=True):
            for name in [name for name in folders if name.startswith(".")]:
                del folders[name]
            for name in sorted(files):
                if not name.startswith("."):
                    yield system.unstrip_protocol(f"{folder.rstrip('/')}/{name}"), _stored(files[name])
    except Exception as error:  # each storage has errors of its own
        raise ConfigError(f"source.folder must be a folder that can be read, got {uri}: {_said(error)}") from error


def has_password(uri: str) -> bool:
    """Say whether a URL holds a password, which would stand in every table."""
    return _PASSWORD.search(uri) is not None


@contextmanager
def opened(uri: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, wherever it is.

    Raises:
        StorageError: it cannot be opened.
    """
    path = local_path(uri)
    with _told_of(uri):
        if path is not None:
            file: IO[bytes] = path.open("rb")
        else:
            system, name = _system(uri)
            # A file of obstore's that cannot be opened complains of itself when it is collected.
            system.info(name)
            file = system.open(name, "rb")
    with file:
        yield file


@contextmanager
def fetched(uri: str, folder: Path, unit_id: str, *, most_bytes: int, keep_free_bytes: int) -> Iterator[Fetched]:
    """Give a source as a local file, and its digest. A copy lies in the output folder for the time of the block.

    Args:
        uri: of the source.
        folder: output folder of the run.
        unit_id: name of the copy: what a process that was killed left is written anew.
        most_bytes: larger files are refused.
        keep_free_bytes: of the disk, that a copy must leave free.

    Raises:
        StorageError: it cannot be read whole, or changed or left meanwhile, also in the block, or is too large.
        OSError: a copy cannot be written.
    """
    stored = describe(uri)
    if stored.size_bytes > most_bytes:
        raise StorageError(f"a source must have at most {most_bytes} bytes, got {uri} of {stored.size_bytes}")
    path = local_path(uri)
    if path is not None:
        digest = _copy(uri, None, stored)
        yield Fetched(path, digest, stored)
        # What was made of it in the block may be of other bytes than the digest says.
        _check_same(uri, stored)
        return
    scratch = folder / SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(scratch).free - keep_free_bytes
    if stored.size_bytes > free:
        text = f"a copy of {uri} needs {stored.size_bytes} bytes in {scratch}, where {max(free, 0)} may be used"
        raise OSError(ENOSPC, f"{text} (source.keep_free_gib)")
    suffix = Path(uri.partition("?")[0]).suffix
    with unfinished(scratch / f"{unit_id}{suffix[:10]}") as copy:
        with copy.open("wb") as target:
            digest = _copy(uri, target, stored)
        yield Fetched(copy, digest, stored)


def _copy(uri: str, target: IO[bytes] | None, stored: Stored) -> str:
    """Read a file once, return its digest, and write it elsewhere if asked."""
    digest, count = hashlib.sha256(), 0
    with opened(uri) as source:
        while True:
            with _told_of(uri):
                chunk = source.read(_CHUNK)
            if not chunk:
                break
            digest.update(chunk)
            count += len(chunk)
            if count > stored.size_bytes:
                break
            if target is not None:
                target.write(chunk)
    _check_same(uri, stored, count)
    return digest.hexdigest()


def _check_same(uri: str, stored: Stored, count: int | None = None) -> None:
    """See that a file is as it was, and that as many bytes were read as it has, where they were counted."""
    now = describe(uri)
    read = now.size_bytes if count is None else count
    if read != stored.size_bytes or now != stored:
        raise StorageError(f"a source must not change while it is read, got {uri} of {read} bytes", may_pass=True)


def _stored(facts: dict[str, Any]) -> Stored:
    version = next((str(facts[name]) for name in _VERSIONS if facts.get(name) is not None), "")
    return Stored(int(facts.get("size") or 0), version)


@contextmanager
def _told_of(uri: str) -> Iterator[None]:
    """Turn whatever a storage raises into a `StorageError`."""
    try:
        yield
    except (StorageError, MissingExtraError):
        raise
    except Exception as error:  # each storage has errors of its own
        text = f"a source must be readable, got {uri}: {_said(error)}"
        raise StorageError(text, may_pass=_may_pass(error)) from error


def _may_pass(error: Exception) -> bool:
    is_final = isinstance(error, _FINAL) or type(error).__name__ in _FINAL_NAMES
    return not is_final and _REFUSED.search(str(error)) is None


def _said(error: Exception) -> str:
    """Return what a storage said in one line, the same each time, and without keys."""
    text = _TIMING.sub("", str(error).partition("\nDebug source:")[0])
    if _METADATA in text:
        return (
            "no keys are in the environment, and this machine has no role; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for what is public"
        )
    if reply := _REPLY.search(text):
        text = text[: reply.start()] + ": ".join(_SAID_IN_REPLY.findall(reply[0]))
    lines = text.strip().rstrip(": ").splitlines() or [type(error).__name__]
    return lines[0][:300]


def _system(uri: str) -> tuple[AbstractFileSystem, str]:
    import fsspec

    scheme = uri.partition("://")[0]
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError:
        _use_obstore(scheme)
    except ValueError as error:
        raise StorageError(f"a source's URL must be one that fsspec knows, got {uri}: {_said(error)}") from error
    with _told_of(uri):
        system, name = fsspec.core.url_to_fs(uri)
    return system, name


def _use_obstore(scheme: str) -> None:
    """Let obstore reach what fsspec knows and has no package for here: S3 and its like."""
    try:
        from obstore.fsspec import register
    except ImportError:
        raise MissingExtraError("obstore", "s3") from None
    register(scheme)


def remove_scratch(folder: Path) -> None:
    """Remove copies that processes which were killed have left in an output folder; none may be at work in it."""
    with suppress(OSError):
        for path in os.scandir(folder / SCRATCH):
            Path(path.path).unlink(missing_ok=True)
