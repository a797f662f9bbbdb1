"""Lists of clips as the official trainer reads them, {"video_path", "caption"}: a JSON array, or one object a line."""

from __future__ import annotations

from pathlib import Path

from mova.data.sources.items import (
    CAPTION_KEYS,
    ListedClips,
    MediaItem,
    UnusableEntryError,
    name_in_messages,
    text_of,
)
from mova.errors import DataError
from mova.files.json_file import parse_json, shorten, shorten_text
from mova.files.text_file import read_text

PATH_KEYS = ("video_path", "video", "file_name", "path")
MOST_BYTES = 2**30
"""Largest list that is read: some two million clips."""


def read_metadata(path: Path, root: Path | None = None) -> ListedClips:
    """Return the clips of a list; files are not looked at yet.

    UTF-8, UTF-16 and UTF-32 are read, with or without a byte order mark; lines may end as on Windows. Other names of
    the keys are read too: those of `PATH_KEYS` and `CAPTION_KEYS`, the first that an entry has. Backslashes in a path
    separate folders where no file has them in its name.

    Args:
        path: path of the JSON file.
        root: folder that relative paths start from; the file's own if not given.

    Raises:
        DataError: the file cannot be read or holds no list.
    """
    entries = _entries(path)
    items, left_out = [], []
    home = root or path.parent
    for place, entry in enumerate(entries):
        try:
            items.append(_item(entry, home))
        except UnusableEntryError as reason:
            left_out.append((_name(entry, place), str(reason)))
    return ListedClips(items, left_out)


def _entries(path: Path) -> list[object]:
    if not path.exists():
        raise DataError(f"there is no list of clips at {path}; --set data.path=FILE names yours")
    text = read_text(path, "clips must be a JSON list", error=DataError, most_bytes=MOST_BYTES)
    if text.lstrip()[:1] == "{":
        # One object a line; also a whole list that lacks its brackets, which then is told of by line.
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        entries: object = [
            parse_json(
                line, f"{path} begins with an object, so it must be JSON lines, and line {number}", error=DataError
            )
            for number, line in lines
        ]
    else:
        entries = parse_json(text, str(path), error=DataError)
    if not isinstance(entries, list) or not entries:
        raise DataError(
            f"{path} must be a JSON list of at least one clip, or one object a line, got {shorten(entries)}"
        )
    return entries


def _item(entry: object, home: Path) -> MediaItem:
    if not isinstance(entry, dict):
        raise UnusableEntryError("that are no objects")
    written, caption = text_of(entry, PATH_KEYS), text_of(entry, CAPTION_KEYS)
    path = home / written
    if "\\" in written and not path.exists():
        path = home / written.replace("\\", "/")
    return MediaItem(name_in_messages(written), path, caption)


def _name(entry: object, place: int) -> str:
    """Return what an entry is called where it is left out: its path, or its place in the list."""
    if isinstance(entry, dict):
        for key in PATH_KEYS:
            if isinstance(value := entry.get(key), str) and value.strip():
                return name_in_messages(shorten_text(value))
    return f"entry {place}"
