"""How captions say things in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def in_row(words: Sequence[str], *, ranked: bool) -> str:
    """Return words in a row, each with its place ("first do, second mi") or as neighbours ("do and then mi")."""
    return with_ranks(words) if ranked else in_order(words)


def with_ranks(words: Sequence[str], article: str = "") -> str:
    """Return "first do, second mi and third la", with `article` before each word."""
    placed = [f"{ordinal} {article}{word}" for ordinal, word in zip(ORDINALS, words, strict=False)]
    return f"{', '.join(placed[:-1])} and {placed[-1]}" if len(placed) > 1 else placed[0]


def in_order(words: Sequence[str]) -> str:
    """Return "do, mi and then la"."""
    return f"{', then '.join(words[:1])}{''.join(f', {word}' for word in words[1:-1])} and then {words[-1]}"
