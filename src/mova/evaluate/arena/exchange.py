"""Votes as a file: a line about the arena, then a line for each vote, in JSON. It holds no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.arena.contents import ArenaFacts
from mova.evaluate.arena.records import Vote, read_name, read_vote
from mova.evaluate.clips.manifest import iter_lines
from mova.files.json_file import Fields, as_fields, parse_json
from mova.files.replacing import replacing
from mova.recipe.base import nearest_name

FORMAT: Final = "mova arena votes 1"


@dataclass(frozen=True)
class VoteFile:
    """What a file of votes holds: title and models of the arena, and the votes."""

    title: str
    models: tuple[str, ...]
    votes: tuple[Vote, ...]


def write_votes(path: Path, facts: ArenaFacts, votes: Sequence[Vote]) -> None:
    """Write all votes of an arena; the file is there whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    first = {"format": FORMAT, "title": facts.title, "models": list(facts.models), "num_votes": len(votes)}
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for entry in (first, *(vote.to_json() for vote in votes)):
            file.write(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n")


def read_votes(path: Path) -> VoteFile:
    """Return what a file of votes holds.

    Raises:
        ConfigError: it cannot be read, is no such file, is cut off, or a line has another form or names another model.
    """
    entries = _entries(path)
    first = next(entries, None)
    if first is None or first.values.get("format") != FORMAT:
        raise ConfigError(f"{path} must be a file of votes, whose first line has the format {FORMAT!r}")
    models = tuple(read_name(name, f"{first.where}: models") for name in first.texts("models"))
    votes = []
    for fields in entries:
        vote = read_vote(fields)
        for name in (vote.left, vote.right):
            if name not in models:
                raise ConfigError(
                    f"{fields.where} must be about a model of the file, got {name!r}{nearest_name(name, models)}"
                )
        votes.append(vote)
    if len(votes) != first.integer("num_votes", least=0):
        raise ConfigError(f"{path} must hold the {first.integer('num_votes')} votes that it states, got {len(votes)}")
    return VoteFile(first.text("title", "")[:200], models, tuple(votes))


def check_models(found: VoteFile, known: Sequence[str], path: Path) -> None:
    """Refuse votes on models that an arena does not have.

    Raises:
        ConfigError: there is one; the text names the nearest.
    """
    for name in {side for vote in found.votes for side in (vote.left, vote.right)}:
        if name not in known:
            raise ConfigError(
                f"votes of {path} must be about models of the arena, got {name!r}{nearest_name(name, known)}"
            )


def _entries(path: Path) -> Iterator[Fields]:
    for number, line in enumerate(iter_lines(path), start=1):
        where = f"{path}, line {number}"
        yield as_fields(parse_json(line, where, error=ConfigError), where, error=ConfigError)
