"""The manifest of clips: one JSON object per line, which says everything and leaves nothing to names of files.

| key | what it is |
| --- | --- |
| `id` | name of the clip, unique |
| `path` | its file, relative to the manifest and inside of its folder; absent or null where there is none |
| `prompt` | what it was made from |
| `category` | for means by category |

Other keys with texts are kept as columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.clips.item import MOST_CLIPS, ClipItem, check_items
from mova.files.inside import leads_out
from mova.files.json_file import Fields, as_fields, parse_json, shorten
from mova.files.replacing import replacing

MANIFEST_NAME: Final = "clips.jsonl"
_KEYS: Final = ("id", "path", "prompt", "category")
_MOST_LINE_BYTES: Final = 1 << 20


def read_manifest(path: Path) -> tuple[ClipItem, ...]:
    """Return the clips of a manifest.

    Raises:
        ConfigError: it cannot be read, a line is no object of this form, a path leads out of the folder, a name comes
            twice. A path without a file is no error: that clip counts as not scored.
    """
    items = []
    for number, line in enumerate(iter_lines(path), start=1):
        where = f"{path}, line {number}"
        items.append(
            _item(as_fields(parse_json(line, where, error=ConfigError), where, error=ConfigError), path.parent)
        )
    return check_items(items, str(path))


def write_manifest(path: Path, items: Iterable[ClipItem]) -> None:
    """Write a manifest; it is there whole or not at all.

    Args:
        path: of the manifest.
        items: whose files lie in its folder or below.

    Raises:
        ConfigError: a file lies elsewhere.
        OSError: it cannot be written.
    """
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        for item in items:
            file.write(json.dumps(_entry(item, path.parent), ensure_ascii=False) + "\n")


def iter_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file of JSON lines, without empty ones, each of at most a megabyte.

    Raises:
        ConfigError: the file cannot be read, or a line or the number of lines is beyond bounds.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE_BYTES + 1):
                number += 1
                if len(line) > _MOST_LINE_BYTES or number > MOST_CLIPS:
                    raise ConfigError(
                        f"{path} must have at most {MOST_CLIPS:,} lines of {_MOST_LINE_BYTES:,} bytes each, got more "
                        f"at line {number}"
                    )
                if line.strip():
                    yield line
    except OSError as error:
        raise ConfigError(f"{path} must be a file that can be read: {error.strerror}") from error


def _item(entry: Fields, folder: Path) -> ClipItem:
    stated = entry.values.get("path")
    path = None
    if stated is not None:
        name = entry.text("path")
        path = folder / name
        if not name or "\0" in name:
            raise ConfigError(f"{entry.where}: path must be the name of a file, got {shorten(name)}")
        if leads_out(path, folder):
            raise ConfigError(f"{entry.where}: path must stay in the folder of the manifest, got {shorten(name)}")
    columns = {key: value for key, value in entry.values.items() if key not in _KEYS and isinstance(value, str)}
    return ClipItem(
        entry.text("id"),
        path if path is not None and path.is_file() else None,
        entry.text("prompt", ""),
        entry.text("category", ""),
        columns,
    )


def _entry(item: ClipItem, folder: Path) -> Mapping[str, object]:
    path = None
    if item.path is not None:
        try:
            path = item.path.resolve().relative_to(folder.resolve()).as_posix()
        except ValueError:
            raise ConfigError(
                f"a manifest lists only files in its own folder {folder} or below, got {item.path}"
            ) from None
    return {"id": item.id, "path": path, "prompt": item.prompt, "category": item.category, **item.columns}
