"""Clips in tar files in the layout of WebDataset: a set appears as a whole, and an interrupted one is gone on with."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from mova.curate.export.kept import KeptClip
from mova.data.sources.shards import write_shard
from mova.errors import DataError
from mova.files.json_file import read_object, shorten
from mova.files.replacing import replacing

_INDEX: Final = "index.json"
# Of tar files: what a member fills whole numbers of, and what the whole file does.
_BLOCK, _RECORD = 512, 10_240
_OWN: Final = re.compile(r"\.?(clips-\d{6,}\.tar|index\.json)(\..*)?")


@dataclass(frozen=True)
class ShardPlan:
    """What a shard holds.

    Attributes:
        name: of its file.
        num_clips: the next so many.
        digest: of their names, captions, facts and sizes.
    """

    name: str
    num_clips: int
    digest: str


def plan_shards(clips: Iterable[KeptClip], most_bytes: float) -> list[ShardPlan]:
    """Return which clips go into which shard, in their order; no clip is opened.

    Args:
        clips: gone through once.
        most_bytes: size of a tar file; a clip that is larger has one of its own.
    """
    plans: list[ShardPlan] = []
    digest, taken, size = hashlib.sha256(), 0, 0

    def close() -> None:
        plans.append(ShardPlan(f"clips-{len(plans):06d}.tar", taken, digest.hexdigest()))

    for clip in clips:
        facts = _facts_text(clip)
        added = 2 * _BLOCK + _padded(clip.size_bytes) + _padded(len(facts))
        if taken and _tar_bytes(size + added) > most_bytes:
            close()
            digest, taken, size = hashlib.sha256(), 0, 0
        digest.update(f"{clip.key}\0{clip.media.suffix}\0{clip.size_bytes}\0".encode() + facts + b"\0")
        taken, size = taken + 1, size + added
    if taken:
        close()
    return plans


def _tar_bytes(members: int) -> int:
    """Return the size of a tar file whose members take so many bytes: two empty blocks end it, and records fill it."""
    return -(-(members + 2 * _BLOCK) // _RECORD) * _RECORD


def write_shards(
    folder: Path, clips: Iterable[KeptClip], plans: list[ShardPlan], on_shard: Callable[[int, int], None] | None = None
) -> bool:
    """Write shards; where the folder holds just these, nothing is done.

    They are written into a folder beside it, shard by shard, and take its place together.

    Args:
        folder: of the tar files.
        clips: the same as were planned for.
        plans: of `plan_shards`.
        on_shard: is called with (shards done, shards in all).

    Returns:
        Whether anything was written.

    Raises:
        DataError: a clip's file cannot be read, or the folder holds what no export wrote.
        OSError: the folder cannot be written.
    """
    staging, former = folder.with_name(f"{folder.name}.partial"), folder.with_name(f"{folder.name}.former")
    for path in (folder, staging, former):
        _check_own(path)
    if not folder.exists() and former.exists():
        # Ended between two renamings.
        former.rename(folder)
    if _holds(folder, plans):
        _remove(staging, former)
        return False
    staging.mkdir(parents=True, exist_ok=True)
    rows = iter(clips)
    for number, plan in enumerate(plans):
        some = islice(rows, plan.num_clips)
        if _mark(staging, plan).is_file() and (staging / plan.name).is_file():
            for _ in some:
                pass
        else:
            _write_one(staging, plan, some)
        if on_shard is not None:
            on_shard(number + 1, len(plans))
    for path in staging.iterdir():
        if path.name not in {plan.name for plan in plans}:
            path.unlink()
    with replacing(staging / _INDEX) as partial:
        partial.write_text(json.dumps(_index(plans), indent=1), encoding="utf-8")
    _remove(former)
    if folder.exists():
        folder.rename(former)
    staging.rename(folder)
    _remove(former)
    return True


def _check_own(folder: Path) -> None:
    """Refuse a folder with anything in it that no export wrote: it would be gone with the next export."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _OWN.fullmatch(path.name) or path.is_dir():
            raise DataError(
                f"{folder} must hold nothing but shards of an export, since a new set takes their place; it has "
                f"{shorten(path.name)}. Choose another export.folder"
            )


def _write_one(staging: Path, plan: ShardPlan, clips: Iterator[KeptClip]) -> None:
    for mark in staging.glob(f"{plan.name}.*.done"):
        mark.unlink()

    def members() -> Iterator[tuple[str, Path, dict[str, object]]]:
        for clip in clips:
            yield clip.key, clip.media, _facts(clip)

    try:
        write_shard(staging / plan.name, members())
    except FileNotFoundError as problem:
        raise DataError(f"{problem.filename} must be there to be exported, and is not") from problem
    _mark(staging, plan).touch()


def _mark(staging: Path, plan: ShardPlan) -> Path:
    """Return the file that says that a shard is complete, and of what."""
    return staging / f"{plan.name}.{plan.digest[:32]}.done"


def _holds(folder: Path, plans: list[ShardPlan]) -> bool:
    if not (folder / _INDEX).is_file():
        return False
    try:
        held = read_object(folder / _INDEX, error=DataError).values
    except DataError:
        return False
    return held == _index(plans) and all((folder / plan.name).is_file() for plan in plans)


def _index(plans: list[ShardPlan]) -> dict[str, object]:
    return {"shards": [{"name": plan.name, "clips": plan.num_clips, "digest": plan.digest} for plan in plans]}


def _facts(clip: KeptClip) -> dict[str, object]:
    return {"caption": clip.caption, **clip.facts}


def _facts_text(clip: KeptClip) -> bytes:
    return json.dumps(_facts(clip), sort_keys=True).encode()


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.is_dir():
            shutil.rmtree(folder)
