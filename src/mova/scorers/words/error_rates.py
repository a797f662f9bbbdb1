"""Counts of wrong words and characters: the edit distance to what should be said, with speakers and without.

Only this file imports `rapidfuzz`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

# Scripts that are written without spaces between words.
_UNSPACED: Final = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


@dataclass(frozen=True)
class ErrorCount:
    """How much of a reference is wrong.

    Attributes:
        errors: insertions, deletions and substitutions, as few as possible.
        length: words or characters of the reference.
    """

    errors: int
    length: int

    @property
    def rate(self) -> float | None:
        """Errors for each word or character of the reference; may exceed 1. None for an empty reference."""
        return self.errors / self.length if self.length else None


@dataclass(frozen=True)
class SpeakerErrors:
    """Errors of a transcript whose speakers have other names than those of the reference.

    Attributes:
        count: of characters, with the assignment that makes fewest errors.
        assignment: pairs of a speaker of the reference and one of the transcript; None where one has no partner.
    """

    count: ErrorCount
    assignment: tuple[tuple[str | None, str | None], ...]


def word_errors(reference: str, heard: str) -> ErrorCount:
    """Return the errors among the words of a text; neither capital letters nor punctuation count."""
    return _count(words_of(reference), words_of(heard))


def character_errors(reference: str, heard: str) -> ErrorCount:
    """Return the errors among the letters and digits of a text."""
    return _count("".join(words_of(reference)), "".join(words_of(heard)))


def is_unspaced(text: str) -> bool:
    """Return whether a text is counted by characters: more of them are of scripts without spaces, such as Chinese, than
    there are words in other scripts."""
    unspaced = [any(low <= ord(letter) <= high for low, high in _UNSPACED) for letter in text]
    others = "".join(" " if one else letter for one, letter in zip(unspaced, text, strict=True))
    return sum(unspaced) > len(words_of(others))


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters: letters, digits, and apostrophes between letters."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("‘", "'")
    kept = [letter if _counts(letter) else " " for letter in folded]
    return [word for word in (word.strip("'") for word in "".join(kept).split()) if word]


def speaker_errors(reference: Mapping[str, str], heard: Mapping[str, str]) -> SpeakerErrors:
    """Return the errors in characters of the best assignment of speakers: the numerator of cpCER.

    Args:
        reference: what each speaker says, cleaned.
        heard: the same of a transcript. Speakers without a partner are compared with silence.
    """
    from rapidfuzz.distance import Levenshtein
    from scipy.optimize import linear_sum_assignment

    size = max(len(reference), len(heard))
    asked, found = _padded(reference, size), _padded(heard, size)
    cost = np.zeros((size, size), np.int64)
    for row, (_, text) in enumerate(asked):
        for column, (_, other) in enumerate(found):
            cost[row, column] = Levenshtein.distance(text, other)
    rows, columns = linear_sum_assignment(cost)
    pairs = tuple((asked[row][0], found[column][0]) for row, column in zip(rows, columns, strict=True))
    count = ErrorCount(int(cost[rows, columns].sum()), sum(map(len, reference.values())))
    return SpeakerErrors(count, pairs)


def nearest_distance(wanted: str, text: str) -> float:
    """Return how far a text is from the place of another text that is most like it.

    Args:
        wanted: looked for.
        text: in which it is looked for.

    Returns:
        Edits for each character of `wanted`, 0 to 1: 0 where it is in the text; 0 too for nothing.
    """
    if not wanted:
        return 0.0
    codes = np.array([ord(letter) for letter in text], np.int64)
    steps = np.arange(len(text) + 1)
    # Edits of the first letters of `wanted` to end at each place of the text, which may begin anywhere.
    edits = np.zeros(len(text) + 1, np.int64)
    for letter in wanted:
        ended = edits + 1
        ended[1:] = np.minimum(ended[1:], edits[:-1] + (codes != ord(letter)))
        edits = np.minimum.accumulate(ended - steps) + steps
    return float(edits.min()) / len(wanted)


def _padded(speakers: Mapping[str, str], size: int) -> list[tuple[str | None, str]]:
    known: list[tuple[str | None, str]] = list(speakers.items())
    return known + [(None, "")] * (size - len(known))


def _count(reference: Sequence[str], heard: Sequence[str]) -> ErrorCount:
    from rapidfuzz.distance import Levenshtein

    return ErrorCount(int(Levenshtein.distance(reference, heard)), len(reference))


def _counts(letter: str) -> bool:
    return letter.isalnum() or letter == "'" or unicodedata.category(letter).startswith("M")
