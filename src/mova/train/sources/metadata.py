"""Lists of clips as the official trainer reads them: a JSON array of {"video_path", "caption"}."""

from __future__ import annotations

import json
from pathlib import Path

from mova.errors import DataError
from mova.train.sources.items import MediaItem

_NAMED = 5


def read_metadata(path: Path, root: Path | None = None) -> list[MediaItem]:
    """Return the clips of a list; files are not looked at yet.

    Args:
        path: of the JSON file.
        root: folder that relative paths start from; the file's own if not given.

    Raises:
        DataError: the file cannot be read, or entries lack a path or a caption; the first few are named.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be a JSON list of clips: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} must be a JSON list of at least one clip, got {type(entries).__name__}")
    wrong = [place for place, entry in enumerate(entries) if not _fits(entry)]
    if wrong:
        named = ", ".join(str(place) for place in wrong[:_NAMED])
        raise DataError(
            f"every entry of {path} must have the texts video_path and caption; {len(wrong)} of {len(entries)} "
            f"have not: entries {named}{' ...' if len(wrong) > _NAMED else ''}"
        )
    home = root or path.parent
    return [MediaItem(entry["video_path"], home / entry["video_path"], entry["caption"]) for entry in entries]


def _fits(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in ("video_path", "caption"))
