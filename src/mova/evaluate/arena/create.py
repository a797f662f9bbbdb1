"""Make an arena of folders of clips."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mova.errors import ConfigError, ReadError
from mova.evaluate.arena.contents import NewClip, NewPrompt
from mova.evaluate.arena.entries import PromptClips, match_prompts
from mova.evaluate.arena.folder import FACTS_FILE, media_folder, new_database, write_facts
from mova.evaluate.arena.store import Store
from mova.evaluate.clips.find import find_clips
from mova.files.lock import lock_folder
from mova.media.transcode.bare_copy import write_bare_copy

_TITLE_LENGTH: Final = 200
# The same for all, so that no file tells when it was made.
_EPOCH_S: Final = 1_600_000_000


@dataclass(frozen=True)
class Created:
    """What became of the clips that an arena was made of.

    Attributes:
        num_prompts, num_pairs, num_clips: in the arena.
        left_out: why clips are not, one text for each.
    """

    num_prompts: int
    num_pairs: int
    num_clips: int
    left_out: tuple[str, ...]


def parse_models(texts: Sequence[str]) -> dict[str, Path]:
    """Return the places of models' clips, by name.

    Args:
        texts: each NAME=CLIPS.

    Raises:
        ConfigError: one has another form, or two have one name.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not (name and equals and place):
            raise ConfigError(f"a model must read NAME=CLIPS, got {text!r}; for example mova_720p=out/mova_720p")
        if name in found:
            raise ConfigError(f"every model must have a name of its own, got {name!r} twice")
        found[name] = Path(place)
    return found


def create_arena(
    root: Path,
    models: Mapping[str, Path],
    *,
    title: str = "",
    prompts: Path | None = None,
    database: str = "",
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Created:
    """Make an arena: copy the clips without a word of where they came from, and fill a new database.

    Args:
        root: folder of the arena, made where it is missing.
        models: place of each model's clips, see `find_clips`.
        title: raters see it; no model should be named in it.
        prompts: file of prompts for clips that do not carry theirs.
        database: URL of an empty PostgreSQL database; "" for SQLite in the folder.
        on_progress: called with how many clips are copied, and of how many.

    Raises:
        ConfigError: there is an arena already, or of clips, names and the database.
        OSError: the folder cannot be written.
    """
    if (root / FACTS_FILE).exists():
        raise ConfigError(f"a new arena needs a new folder, got {root}, which holds one; nearest is {root}_2")
    if len(title) > _TITLE_LENGTH or not (title or " ").isprintable():
        raise ConfigError(f"a title must have at most {_TITLE_LENGTH} printable characters, got {len(title)}")
    named = [name for name in models if name.casefold() in title.casefold()]
    if named:
        raise ConfigError(f"raters see the title, so that it must name no model, got {title!r} with {named[0]!r}")
    matched = match_prompts({name: find_clips(place, prompts) for name, place in models.items()})
    with lock_folder(root, "folder of an arena"):
        store = Store(new_database(root, database))
        try:
            filled, left_out = _copy_all(matched, media_folder(root), on_progress)
            store.database.upgrade()
            store.fill(title or "Which clip is better?", tuple(models), filled)
        finally:
            store.database.close()
        write_facts(root, database)
    return Created(
        len(filled),
        sum(1 for prompt in filled for _ in prompt.pairs()),
        sum(len(prompt.clips) for prompt in filled),
        tuple(left_out),
    )


def _copy_all(
    matched: Sequence[PromptClips], media: Path, on_progress: Callable[[int, int], None]
) -> tuple[list[NewPrompt], list[str]]:
    media.mkdir(parents=True, exist_ok=True)
    total = sum(len(paths) for prompt in matched for paths in prompt.clips.values())
    left_out: list[str] = []
    filled = []
    done = 0
    for prompt in matched:
        clips = []
        for model, paths in prompt.clips.items():
            number = 0
            for path in paths:
                name = f"{secrets.token_hex(16)}.mp4"
                try:
                    seconds = write_bare_copy(path, media / name)
                except ReadError as error:
                    left_out.append(str(error))
                else:
                    os.utime(media / name, (_EPOCH_S, _EPOCH_S))
                    clips.append(NewClip(model, number, name, seconds))
                    number += 1
                done += 1
                on_progress(done, total)
        made = NewPrompt(prompt.name, prompt.text, prompt.category, tuple(clips))
        if next(iter(made.pairs()), None) is None:
            for clip in clips:
                (media / clip.file).unlink(missing_ok=True)
            left_out.append(f"prompt {prompt.name}: fewer than two models have a clip that a browser plays")
        else:
            filled.append(made)
    if not filled:
        raise ConfigError(
            f"an arena needs two clips of one prompt that a browser plays, got none; the first of {len(left_out)} "
            f"reasons: {left_out[0]}"
        )
    return filled, left_out
