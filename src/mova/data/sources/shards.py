"""Shards: tar files of clips with a JSON file each, in the layout of WebDataset, read by position."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
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
from mova.files.json_file import parse_json, shorten_text

_MEDIA = (".mp4", ".mkv", ".mov", ".webm", ".wav", ".flac", ".mp3", ".m4a")
_MOST_JSON = 2**20


def read_shards(folder: Path) -> ListedClips:
    """Return the clips of all `*.tar` files of a folder, in the order of their names; no clip is read yet.

    A clip is two members, `KEY.mp4` (or another media file) and `KEY.json` with a text `caption`; other keys of it are
    allowed. What lacks one of them is left out.

    Raises:
        DataError: there is no shard, or a shard is damaged.
    """
    shards = sorted(folder.glob("*.tar")) if folder.is_dir() else []
    if not shards:
        raise DataError(f"{folder} must hold shards named *.tar, found none")
    read = [_read_shard(shard) for shard in shards]
    return ListedClips(
        [item for shard in read for item in shard.items], [entry for shard in read for entry in shard.left_out]
    )


def write_shard(path: Path, clips: Iterable[tuple[str, Path, dict[str, object]]]) -> None:
    """Write a shard; the same clips make the same bytes, and the file appears when it is complete.

    Args:
        path: path of the tar file.
        clips: key, media file and JSON object (with `caption`) of each.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as shard:
            for key, media, facts in clips:
                _add(shard, f"{key}{media.suffix}", media.read_bytes())
                _add(shard, f"{key}.json", json.dumps(facts, sort_keys=True).encode())
        raw.flush()
        os.fsync(raw.fileno())
    partial.replace(path)


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    # No owner and no time: nothing but the content decides the bytes.
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def _read_shard(path: Path) -> ListedClips:
    media: dict[str, tarfile.TarInfo] = {}
    captions: dict[str, str | UnusableEntryError] = {}
    try:
        # "r:" reads plain archives only: clips are read by position.
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                key, suffix = os.path.splitext(member.name)  # noqa: PTH122 (a name in an archive is no path)
                if suffix.lower() in _MEDIA:
                    media[key] = member
                elif suffix == ".json":
                    captions[key] = _caption(shard, member)
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path} must be an undamaged tar file, not compressed: {shorten_text(str(error))}") from error
    items, left_out = [], []
    for key in dict.fromkeys((*media, *captions)):
        name = name_in_messages(f"{path.name}/{media[key].name if key in media else key}")
        reason = _objection(media.get(key), captions.get(key))
        if reason is None:
            caption, member = captions[key], media[key]
            items.append(MediaItem(name, path, str(caption), member.offset_data, member.size))
        else:
            left_out.append((name, reason))
    return ListedClips(items, left_out)


def _objection(media: tarfile.TarInfo | None, caption: str | UnusableEntryError | None) -> str | None:
    """Return why a clip is left out, or None."""
    if media is None:
        return "without a media file"
    if not media.isreg() or media.issparse():
        return "that are no plain files"
    if caption is None:
        return "without a JSON file"
    return str(caption) if isinstance(caption, UnusableEntryError) else None


def _caption(shard: tarfile.TarFile, member: tarfile.TarInfo) -> str | UnusableEntryError:
    # Never through a link, which could name anything.
    if not member.isreg() or member.issparse() or (content := shard.extractfile(member)) is None:
        return UnusableEntryError("whose JSON is no plain file")
    if member.size > _MOST_JSON:
        return UnusableEntryError(f"whose JSON has more than {_MOST_JSON} bytes")
    try:
        facts = parse_json(content.read(), member.name, error=DataError)
    except DataError:
        return UnusableEntryError("whose JSON cannot be read")
    if not isinstance(facts, dict):
        return UnusableEntryError("whose JSON is no object")
    try:
        return text_of(facts, CAPTION_KEYS)
    except UnusableEntryError as reason:
        return reason
