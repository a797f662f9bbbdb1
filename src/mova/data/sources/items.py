"""A media file with its caption: a file of its own, or a member of a tar shard; and what a list of them leaves out."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mova.files.json_file import shorten_text

CAPTION_KEYS = ("caption", "prompt", "text")
_BLOCK = 2**20


@dataclass(frozen=True)
class MediaItem:
    """Where the bytes of a clip are.

    Attributes:
        key: its name in messages.
        path: path of the file, or of the shard that holds it.
        caption: what the text encoder reads.
        offset, length: where the clip's bytes are in a shard; None for a file of its own.
    """

    key: str
    path: Path
    caption: str
    offset: int | None = None
    length: int | None = None

    @property
    def place(self) -> str:
        """Where the bytes are, however the path is written; names that point at one file stay apart."""
        return f"{Path(os.path.abspath(self.path))}:{self.offset or 0}"  # noqa: PTH100 (links are not followed)

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """Give the clip a path for the time of the block; the decoder reads files only."""
        if self.offset is None:
            yield self.path
            return
        with tempfile.NamedTemporaryFile(suffix=Path(self.key).suffix or ".mp4") as file:
            for block in self._blocks():
                file.write(block)
            file.flush()
            yield Path(file.name)

    def sha256(self) -> str:
        """Return the SHA-256 of the clip's bytes.

        Raises:
            OSError: the file cannot be read.
            EOFError: it is shorter than it was.
        """
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(block)
        return digest.hexdigest()

    def _blocks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(self.offset or 0)
            left = self.length if self.length is not None else self.path.stat().st_size
            while left > 0 and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block
            if left > 0 and self.length is not None:
                raise EOFError(f"{self.path} has become shorter")


@dataclass(frozen=True)
class ListedClips:
    """What a list or a folder of shards names; no media file has been opened yet.

    Attributes:
        items: clips with a caption.
        left_out: (name, reason) of every entry that is none.
    """

    items: Sequence[MediaItem]
    left_out: Sequence[tuple[str, str]] = ()


class UnusableEntryError(ValueError):
    """An entry of a list names no clip; the text is the reason, for the list of what is left out."""


def text_of(entry: Mapping[str, object], keys: Sequence[str]) -> str:
    """Return the text that an entry has under the first of some keys that it has.

    Raises:
        UnusableEntryError: it has none of them, or no text there, or nothing but blanks.
    """
    name = keys[0]
    key = next((key for key in keys if key in entry), None)
    if key is None:
        raise UnusableEntryError(f"without the key {name}")
    value = entry[key]
    if not isinstance(value, str):
        raise UnusableEntryError(f"whose {key} is no text")
    if not value.strip():
        raise UnusableEntryError(f"with a blank {key}")
    if not _is_unicode(value) or "\0" in value:
        raise UnusableEntryError(f"whose {key} is no valid Unicode text")
    return value


def name_in_messages(text: str) -> str:
    """Return a stranger's name as it can be printed, stored and hashed everywhere, on one line."""
    shown = text if _is_unicode(text) else text.encode("utf-8", "backslashreplace").decode()
    # What is no letter, sign or blank may clear a terminal, or begin a line of its own in a log.
    return shorten_text("".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown), 1000)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
