"""What of a free wording several kinds of scene ask for: wall, colours, floor, who is left and right, who is first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Protocol, TypeVar

import numpy as np

from mova.toyworld.asked.lexicon import (
    COLOUR_WORDS,
    FIRST_WORDS,
    FOREIGN_COLOURS,
    FOREIGN_MATERIALS,
    MATERIAL_WORDS,
    SIDE_WORDS,
    WALL_WORDS,
)
from mova.toyworld.asked.said import Found, Said
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOURS, MATERIALS, SIDES

_Value = TypeVar("_Value")
_MOST_ATTEMPTS: Final = 2000
_MOST_WISHES: Final = 300
_WALL_COLOURS: Final = {
    "light grey": "light grey|light gray|grey|gray|white|浅灰色|浅灰|灰色|灰|白色|白",
    "pale blue": "pale blue|light blue|sky blue|blue|浅蓝色|淡蓝色|浅蓝|淡蓝|天蓝色|蓝色|蓝",
    "pale green": "pale green|light green|green|mint|浅绿色|淡绿色|浅绿|淡绿|绿色|绿",
    "pale pink": "pale pink|light pink|pink|rose|粉红色|浅粉色|粉色|粉红|粉",
}
_WALL_OF: Final = {word: wall for wall, words in _WALL_COLOURS.items() for word in words.split("|")}
_ANY_WALL: Final = "|".join(sorted(map(re.escape, _WALL_OF), key=len, reverse=True))
_WALL: Final = re.compile(
    rf"({_ANY_WALL})\s*(?:coloured |colored )?的?\s*(?:{WALL_WORDS})"
    rf"|(?:{WALL_WORDS})\s*(?:is|in|为|是)?\s*({_ANY_WALL})(?:\s*的?\s*墙)?"
)
_ANY_WORD_OF_WALL: Final = tuple(WALL_WORDS.split("|"))


def find_background(said: Said) -> str | None:
    """Return the wall that is asked for, a key of `BACKGROUND_RGB`, or None."""
    walls = said.match(_WALL)
    said.has(_ANY_WORD_OF_WALL)
    if not walls:
        return None
    word = walls[0][1] or walls[0][2]
    wall = _WALL_OF[word]
    assert wall in BACKGROUND_RGB
    if word not in wall and word.isascii():
        said.changes.append(f"the wall is {wall}, the nearest to {word}")
    return wall


def find_colours(said: Said, *, least: int = 0) -> list[Found[str]]:
    """Return the colours of things in their order, with the nearest one in place of what the world lacks.

    Args:
        said: the wording; walls are left out.
        least: place from which on to look.
    """
    walls = [match.span() for match in _WALL.finditer(said.text)]
    words = {**FOREIGN_COLOURS, **COLOUR_WORDS}
    found = [
        one
        for one in said.find(words, within=(least, len(said.text)))
        if not any(start <= one.start < end for start, end in walls)
    ]
    for one in found:
        word = said.text[one.start : one.end]
        if word in FOREIGN_COLOURS:
            known = f"the toy world has only {', '.join(COLOURS)}"
            if one.value:
                said.changes.append(f"{word} became {one.value}, the nearest colour: {known}")
            else:
                said.problems.append(f"the colour {word} is left out: {known}")
    return [one for one in found if one.value]


def find_material(said: Said, beside: Sequence[str] = ()) -> str | None:
    """Return the floor that is asked for, or None.

    Args:
        said: the wording.
        beside: words that contain one of a floor and mean something else.
    """
    found = said.find({**FOREIGN_MATERIALS, **MATERIAL_WORDS}, beside=beside)
    if not found:
        return None
    words = {said.text[one.start : one.end]: one.value for one in found}
    for word, value in words.items():
        if word in FOREIGN_MATERIALS:
            said.changes.append(f"{word} became {value}: the toy world has only floors of {', '.join(MATERIALS)}")
    kinds = list(dict.fromkeys(words.values()))
    if len(kinds) > 1:
        said.problems.append(f"the floor is of one material: {kinds[0]} and not {' or '.join(kinds[1:])}")
    return kinds[0]


def by_side(said: Said, found: Sequence[Found[str]]) -> tuple[str | None, str | None]:
    """Return which of the values belong to the left and to the right.

    A value in a clause with one side belongs to it; the others fill what is free, in their order.
    """
    taken: dict[str, str] = {}
    free: list[str] = []
    clauses = said.clauses()
    for one in found:
        start, end = next(((start, end) for start, end in clauses if start <= one.start < end), (one.start, one.end))
        sides = {side.value for side in said.find(SIDE_WORDS, within=(start, end))}
        side = sides.pop() if len(sides) == 1 else None
        if side is not None and side not in taken:
            taken[side] = one.value
        elif one.value not in free and one.value not in taken.values():
            free.append(one.value)
    free = [value for value in free if value not in taken.values()]
    left, right = (taken.get(side) or (free.pop(0) if free else None) for side in SIDES)
    return left, right


def first_side(said: Said, colours: tuple[str | None, str | None]) -> str | None:
    """Return which of two things comes first: the side, or the colour, of a clause with "first" in it."""
    for start, end in said.clauses():
        if not said.find(dict.fromkeys(FIRST_WORDS, True), within=(start, end)):
            continue
        named = said.find({**COLOUR_WORDS, **SIDE_WORDS}, within=(start, end))
        for one in named:
            if one.value in SIDES:
                return str(one.value)
            if one.value in colours:
                return SIDES[colours.index(one.value)]
    return None


def fit_row(said: Said, values: list[_Value], limits: tuple[int, int], what: str) -> list[_Value]:
    """Return a row without neighbours that are alike, as long as a scene's may be; says what it changes.

    Args:
        said: the wording, which is told.
        values: as they are asked for; none for a free row.
        limits: least and most of them.
        what: name of several of them.
    """
    row = [value for at, value in enumerate(values) if at == 0 or value != values[at - 1]]
    if len(row) < len(values):
        said.changes.append(f"{what} that follow themselves are played once: the toy world repeats none at once")
    least, most = limits
    if len(row) > most:
        said.changes.append(f"the first {most} of {len(row)} {what}: a clip of the toy world has {least} to {most}")
        row = row[:most]
    if row and len(row) < least:
        before = len(row)
        while len(row) < least and len(set(row)) > 1:
            row.append(row[-2] if len(row) > 1 else row[0])
        if len(row) > before:
            said.changes.append(f"{before} {what} became {len(row)}: a clip of the toy world has {least} to {most}")
    if row and len(row) < least:
        said.changes.append(f"further {what} are chosen: a clip of the toy world has {least} to {most}")
    return row


def fit_count(said: Said, count: int | None, limits: tuple[int, int], what: str) -> int | None:
    """Return a number of things that a scene may have; says what it changes."""
    if count is None:
        return None
    least, most = limits
    kept = min(max(count, least), most)
    if kept != count:
        said.changes.append(f"{count} {what} became {kept}: a clip of the toy world has {least} to {most}")
    return kept


def seed_of(text: str) -> int:
    """Return a seed, the same for the same wording everywhere."""
    plain = " ".join(text.lower().split())
    return int.from_bytes(hashlib.sha256(plain.encode("utf-8", "replace")).digest()[:4], "big") >> 1


class _Combined(Protocol):
    """A scene, as far as it is asked here."""

    held_out: ClassVar[frozenset[tuple[str, ...]]]

    def combinations(self) -> tuple[tuple[str, ...], ...]:
        """Return what it combines."""


_Scene = TypeVar("_Scene", bound=_Combined)


def draw_fitting(
    seed: int, draw: Callable[[int, np.random.Generator], _Scene], fits: Callable[[_Scene], bool]
) -> _Scene:
    """Return a scene that fits, if possible without a combination that training was kept from.

    Args:
        seed: of the scene, and of the generators that scenes are drawn from one after the other.
        draw: returns a scene of the seed.
        fits: whether it is what is wanted.
    """
    second: _Scene | None = None
    for attempt in range(_MOST_ATTEMPTS):
        scene = draw(seed, np.random.default_rng([seed, attempt]))
        if fits(scene):
            second = second or scene
            if not scene.held_out.intersection(scene.combinations()):
                return scene
            if attempt > _MOST_WISHES:
                break
    return second or scene
