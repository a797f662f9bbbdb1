"""Clips of a folder, of a manifest, or of one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mova.errors import ConfigError, MediaError
from mova.evaluate.clips.item import MOST_PROMPT_LENGTH, ClipItem, check_items
from mova.evaluate.clips.manifest import MANIFEST_NAME, read_manifest
from mova.evaluate.clips.prompts import give_prompts, read_prompts
from mova.files.inside import leads_out
from mova.media.write import read_metadata

SUFFIXES: Final = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts")


def find_clips(place: Path, prompts: Path | None = None) -> tuple[ClipItem, ...]:
    """Return the clips of a place, in order of their names.

    * A manifest (`.jsonl`), or a folder that holds one called `clips.jsonl`.
    * A folder: its video files and those of its sub-folders. The name of a clip is its path there without suffix; the
      sub-folder is its category.
    * One video file.

    Args:
        place: of the clips.
        prompts: file of prompts. Without one, prompts are those of the manifest, or what `mova generate` wrote into the
            clips.

    Raises:
        ConfigError: there is no clip, two have one name, a link leads out of the folder, or a name matches no prompt or
            several.
    """
    manifest = place / MANIFEST_NAME if place.is_dir() else place
    if manifest.suffix == ".jsonl" and manifest.is_file():
        items = read_manifest(manifest)
    elif place.is_dir():
        items = check_items(_in_folder(place), str(place))
    elif place.is_file():
        items = (ClipItem(place.stem, place, _own_prompt(place)),)
    else:
        raise ConfigError(f"CLIPS must be a folder of clips, a manifest or a video file, got {place}, which is none")
    if prompts is None:
        return items
    return check_items(give_prompts(items, read_prompts(prompts), str(prompts)), str(prompts))


def _in_folder(folder: Path) -> Iterator[ClipItem]:
    for path in sorted(_video_files(folder)):
        if leads_out(path, folder):
            raise ConfigError(f"clips must lie in their folder {folder}, got {path}, a link that leads out of it")
        name = path.relative_to(folder).with_suffix("").as_posix()
        yield ClipItem(name, path, _own_prompt(path), name.rpartition("/")[0])


def _video_files(folder: Path) -> Iterator[Path]:
    for place, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(place, name)


def _own_prompt(path: Path) -> str:
    """Return the prompt that is written into a clip; what cannot be read is told later, by each measure."""
    try:
        prompt = read_metadata(path).get("prompt", "")
    except MediaError:
        return ""
    return prompt if isinstance(prompt, str) and len(prompt) <= MOST_PROMPT_LENGTH else ""
