"""What an arena is about: models, pairs of clips, ballots, votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from mova.errors import ConfigError
from mova.files.json_file import Fields, shorten
from mova.recipe.base import nearest_name

_Choice = TypeVar("_Choice", bound=StrEnum)

MOST_NAME_LENGTH: Final = 100
"""Characters of the name of a model or a rater."""


class Criterion(StrEnum):
    """What raters judge, as in the paper (arXiv 2602.08794, section 5.3): the first is asked for, the rest may be."""

    OVERALL = "overall"
    SYNC = "sync"
    AUDIO = "audio"
    VIDEO = "video"
    PROMPT = "prompt"


class Answer(StrEnum):
    """Which clip is better."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"
    BOTH_BAD = "both_bad"


class Watch(StrEnum):
    """What becomes of a vote of somebody who has not watched both clips to their ends."""

    REQUIRED = "required"
    RECORDED = "recorded"


class Mark(StrEnum):
    """Why a vote is kept and, unless it is asked for, not counted."""

    UNWATCHED = "unwatched"
    FAST = "fast"


@dataclass(frozen=True)
class Vote:
    """One vote, as it is kept, exported and counted.

    Attributes:
        ballot: its name; unique everywhere.
        rater: name of who voted.
        prompt: name of what both clips were made from.
        category: of the prompt, "" where there are none.
        left, right: models in the order shown.
        answers: by criterion; `overall` is always there.
        watched_left, watched_right: whether the page has played that clip to its end, with its sound.
        replays: how often the pair was played after the first time.
        latency_s: from the moment the pair was given out until the vote came, by the server's clock.
        issued, voted: moments of both, UTC, as in ISO 8601.
        app_version: of the server.
        marks: why it does not count.
    """

    ballot: str
    rater: str
    prompt: str
    category: str
    left: str
    right: str
    answers: Mapping[Criterion, Answer]
    watched_left: bool
    watched_right: bool
    replays: int
    latency_s: float
    issued: str
    voted: str
    app_version: str
    marks: tuple[Mark, ...] = field(default=())

    def to_json(self) -> dict[str, object]:
        """Return the vote as JSON values."""
        return {
            "ballot": self.ballot,
            "rater": self.rater,
            "prompt": self.prompt,
            "category": self.category,
            "left": self.left,
            "right": self.right,
            "answers": {str(name): str(answer) for name, answer in self.answers.items()},
            "watched_left": self.watched_left,
            "watched_right": self.watched_right,
            "replays": self.replays,
            "latency_s": self.latency_s,
            "issued": self.issued,
            "voted": self.voted,
            "app_version": self.app_version,
            "marks": [str(mark) for mark in self.marks],
        }


def read_vote(fields: Fields) -> Vote:
    """Return a vote out of JSON.

    Raises:
        ConfigError: a key is missing, or is not of its kind; the text names the nearest.
    """
    names = {key: read_name(fields.text(key), f"{fields.where}: {key}") for key in ("rater", "left", "right")}
    if names["left"] == names["right"]:
        raise ConfigError(f"{fields.where}: left and right must be two models, got {shorten(names['left'])} twice")
    return Vote(
        ballot=_bounded(fields, "ballot"),
        rater=names["rater"],
        prompt=_bounded(fields, "prompt", 200),
        category=fields.text("category", "")[:200],
        left=names["left"],
        right=names["right"],
        answers=read_answers(fields.fields("answers")),
        watched_left=fields.flag("watched_left"),
        watched_right=fields.flag("watched_right"),
        replays=fields.integer("replays", least=0, most=1_000_000),
        latency_s=fields.number("latency_s", least=0.0, most=1e9),
        issued=_bounded(fields, "issued"),
        voted=_bounded(fields, "voted"),
        app_version=_bounded(fields, "app_version"),
        marks=tuple(read_choice(Mark, one, f"{fields.where}: marks") for one in fields.texts("marks", [])),
    )


def read_answers(fields: Fields) -> dict[Criterion, Answer]:
    """Return the answers of a vote; what was not answered is left out.

    Raises:
        ConfigError: an unknown criterion or answer, or no answer to `overall`.
    """
    given = {
        read_choice(Criterion, name, fields.where): read_choice(Answer, value, f"{fields.where}: {shorten(name)}")
        for name, value in fields.values.items()
        if value is not None
    }
    if Criterion.OVERALL not in given:
        raise ConfigError(f"{fields.where} must have an answer to overall, got {', '.join(given) or 'none'}")
    return {criterion: given[criterion] for criterion in Criterion if criterion in given}


def read_choice(kind: type[_Choice], value: object, where: str) -> _Choice:
    """Return a value of an enumeration.

    Raises:
        ConfigError: it is none; the text names the nearest.
    """
    known = [str(one) for one in kind]
    if not isinstance(value, str) or value not in known:
        near = nearest_name(value, known) if isinstance(value, str) else f"; known: {', '.join(known)}"
        raise ConfigError(f"{where} must be one of {', '.join(known)}, got {shorten(value)}{near}")
    return kind(value)


def read_name(name: str, where: str) -> str:
    """Return the name of a model or a rater.

    Raises:
        ConfigError: it is empty, too long, or holds what cannot be printed.
    """
    if not 1 <= len(name) <= MOST_NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise ConfigError(
            f"{where} must be 1 to {MOST_NAME_LENGTH} printable characters without spaces at the ends, "
            f"got {shorten(name)}"
        )
    return name


def _bounded(fields: Fields, key: str, most: int = 100) -> str:
    text = fields.text(key)
    if not 1 <= len(text) <= most or not text.isprintable():
        raise ConfigError(f"{fields.where}: {key} must be 1 to {most} printable characters, got {shorten(text)}")
    return text
