"""Shards: tar files of clips with a JSON file each, in the layout of WebDataset, read by position."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mova.errors import DataError
from mova.train.sources.items import MediaItem

_MEDIA = (".mp4", ".mkv", ".mov", ".webm", ".wav", ".flac", ".mp3", ".m4a")


def read_shards(folder: Path) -> list[MediaItem]:
    """Return the clips of all `*.tar` files of a folder, in the order of their names; no clip is read yet.

    A clip is two members, `KEY.mp4` (or another media file) and `KEY.json` with a text `caption`; other keys of it are
    allowed.

    Raises:
        DataError: there is no shard, a shard is damaged, or a clip lacks one of its members.
    """
    shards = sorted(folder.glob("*.tar")) if folder.is_dir() else []
    if not shards:
        raise DataError(f"{folder} must hold shards named *.tar, found none")
    return [item for shard in shards for item in _read_shard(shard)]


def write_shard(path: Path, clips: Iterable[tuple[str, Path, dict[str, Any]]]) -> None:
    """Write a shard; the same clips make the same bytes, and the file appears when it is complete.

    Args:
        path: of the tar file.
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


def _read_shard(path: Path) -> list[MediaItem]:
    media: dict[str, tarfile.TarInfo] = {}
    captions: dict[str, str] = {}
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                key, suffix = os.path.splitext(member.name)  # noqa: PTH122 (a name in an archive is no path)
                if suffix in _MEDIA:
                    media[key] = member
                elif suffix == ".json":
                    content = shard.extractfile(member)
                    captions[key] = json.loads(content.read())["caption"] if content else ""
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} must be a shard of clips with captions: {error}") from error
    alone = sorted(set(media) ^ set(captions))
    if alone:
        raise DataError(f"every clip of {path} must have a media file and a JSON file; {alone[0]} has one of them only")
    return [
        MediaItem(f"{path.name}/{member.name}", path, captions[key], member.offset_data, member.size)
        for key, member in media.items()
    ]
