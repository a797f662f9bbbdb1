"""Rows of an arena: what it is made with, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from mova.evaluate.arena.records import Answer, Criterion, Mark


@dataclass(frozen=True)
class NewClip:
    """A clip that an arena is made with: model, number among its clips of the prompt, name of the copy, seconds."""

    model: str
    variant: int
    file: str
    seconds: float


@dataclass(frozen=True)
class NewPrompt:
    """A prompt that an arena is made with: name, text, category, clips."""

    name: str
    text: str
    category: str
    clips: tuple[NewClip, ...]

    def pairs(self) -> Iterator[tuple[NewClip, NewClip]]:
        """Yield each two clips that are compared: of two models, and with one number."""
        for place, one in enumerate(self.clips):
            for other in self.clips[place + 1 :]:
                if one.model != other.model and one.variant == other.variant:
                    yield one, other


@dataclass(frozen=True)
class Clip:
    """A clip of an arena: key, keys of its model and prompt, number, name of its file in `media`, seconds."""

    id: int
    model: int
    prompt: int
    variant: int
    file: str
    seconds: float


@dataclass(frozen=True)
class Rater:
    """Who votes: key and name."""

    id: int
    name: str


@dataclass(frozen=True)
class Ballot:
    """A pair that was given out to a rater, in the order shown; moments in seconds since 1970, UTC."""

    id: str
    rater: int
    left_clip: int
    right_clip: int
    issued: float
    expires: float


@dataclass(frozen=True)
class Cast:
    """What a rater has sent, with what the server adds; see `Vote`."""

    answers: Mapping[Criterion, Answer]
    watched_left: bool
    watched_right: bool
    replays: int
    latency_s: float
    voted: float
    app_version: str
    marks: tuple[Mark, ...] = ()


class Kept(Enum):
    """What became of a vote."""

    NEW = auto()
    SAME = auto()
    OTHER = auto()


@dataclass(frozen=True)
class ArenaFacts:
    """What there is in an arena."""

    title: str
    models: tuple[str, ...]
    num_prompts: int
    num_votes: int
