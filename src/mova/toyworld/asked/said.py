"""A free wording, searched for words: longest first, each place of the text once, English by words, Chinese by signs.

It also keeps what came of it: what was taken in place of something else, and which words nothing could be made of.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, TypeVar

from mova.toyworld.asked.lexicon import EMPTY_SIGNS, EMPTY_WORDS, NUMBERS

Value = TypeVar("Value")
_LETTERS: Final = "a-z0-9à-öø-ÿ"
_CLAUSE_ENDS: Final = re.compile(
    r"[,;.!?:，。；！？：、\n]+|\b(?:and|then|while|but)\b|然后|接着|再(?=[^a-z])|和(?=[^a-z])"
)
_LEFT_OVER: Final = re.compile(r"[a-zà-öø-ÿ][a-zà-öø-ÿ']*|[\u3400-\u9fff]+")
_MOST_LEFT_OVER: Final = 8
_MOST_NAMED: Final = 24


@dataclass(frozen=True)
class Found(Generic[Value]):
    """A word of a text.

    Attributes:
        value: what it stands for.
        start, end: its place in `Said.text`.
    """

    value: Value
    start: int
    end: int


class Said:
    """A free wording.

    Attributes:
        text: in lower case and in one form of each sign.
        original: the same in upper and lower case; places are the same.
        changes: what was taken in place of what the text says, as sentences.
        problems: what of the text is not shown, as sentences.

    Args:
        text: what somebody wrote.
    """

    def __init__(self, text: str) -> None:
        plain = unicodedata.normalize("NFKC", text)
        # Letters whose lower case has another length would shift what stands behind them.
        self.text = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in plain)
        self.original = plain
        self.changes: list[str] = []
        self.problems: list[str] = []
        self._used = bytearray(len(self.text))

    def find(
        self, words: Mapping[str, Value], *, beside: Iterable[str] = (), within: tuple[int, int] | None = None
    ) -> list[Found[Value]]:
        """Return words of the text in their order; what they cover counts as understood.

        Args:
            words: what each stands for.
            beside: longer words that contain some of them and mean something else.
            within: part of the text to search.
        """
        pattern = _pattern((*words, *beside))
        start, end = within or (0, len(self.text))
        found = []
        for match in pattern.finditer(self.text, start, end):
            if match[0] in words:
                found.append(Found(words[match[0]], match.start(), match.end()))
                self.use(match.start(), match.end())
        return found

    def match(self, pattern: re.Pattern[str], *, keeps_case: bool = False) -> list[re.Match[str]]:
        """Return where a pattern stands; what it covers counts as understood."""
        matches = list(pattern.finditer(self.original if keeps_case else self.text))
        for match in matches:
            self.use(match.start(), match.end())
        return matches

    def has(self, words: Iterable[str]) -> bool:
        """Return whether one of these words is there."""
        return bool(self.find(dict.fromkeys(words, True)))

    def weigh(self, words: Mapping[str, int], beside: Iterable[str] = ()) -> int:
        """Return the sum of the weights of the different words that are there, without counting them as understood."""
        matches = {match[0] for match in _pattern((*words, *beside)).finditer(self.text)}
        return sum(words.get(word, 0) for word in matches)

    def use(self, start: int, end: int) -> None:
        """Count a part of the text as understood."""
        self._used[start:end] = b"\x01" * (end - start)

    def is_used(self, start: int, end: int) -> bool:
        """Return whether all of a part is understood."""
        return all(self._used[start:end])

    def clauses(self) -> list[tuple[int, int]]:
        """Return the parts of the text between commas, "and", "then" and the like."""
        cuts = [(match.start(), match.end()) for match in _CLAUSE_ENDS.finditer(self.text)]
        starts = [0, *(end for _, end in cuts)]
        ends = [*(start for start, _ in cuts), len(self.text)]
        return [(start, end) for start, end in zip(starts, ends, strict=True) if self.text[start:end].strip()]

    def count_of(self, nouns: Sequence[str]) -> int | None:
        """Return the number that stands before one of these nouns, or None."""
        numbers, things = ("|".join(map(re.escape, sorted(one, key=len, reverse=True))) for one in (NUMBERS, nouns))
        matches = self.match(re.compile(rf"(?<![{_LETTERS}])(\d{{1,3}}|{numbers})[\s-]*(?:{things})(?![a-z])"))
        if not matches:
            return None
        return int(matches[0][1]) if matches[0][1].isdecimal() else NUMBERS[matches[0][1]]

    def left_over(self) -> list[str]:
        """Return words that nothing was made of, but those that say nothing by themselves."""
        words: list[str] = []
        for match in _LEFT_OVER.finditer(self.text):
            if match[0].isascii() or not "\u3400" <= match[0][0] <= "\u9fff":
                if not self.is_used(match.start(), match.end()) and match[0] not in EMPTY_WORDS:
                    words.append(match[0])
                continue
            free = "".join(
                " " if self._used[at] or self.text[at] in EMPTY_SIGNS else self.text[at]
                for at in range(match.start(), match.end())
            )
            words += free.split()
        return [word[:_MOST_NAMED] for word in dict.fromkeys(words)]

    def name_left_over(self) -> None:
        """Say which words nothing was made of."""
        words = self.left_over()
        if words:
            more = f" and {len(words) - _MOST_LEFT_OVER} more" if len(words) > _MOST_LEFT_OVER else ""
            self.problems.append(f"not shown, since no scene has it: {', '.join(words[:_MOST_LEFT_OVER])}{more}")


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Match the longest of some words; those of Latin letters only where they are whole words."""
    parts = []
    for word in sorted(dict.fromkeys(words), key=len, reverse=True):
        before = rf"(?<![{_LETTERS}])" if re.match(f"[{_LETTERS}]", word) else ""
        after = rf"(?![{_LETTERS}])" if re.search(f"[{_LETTERS}]$", word) else ""
        parts.append(before + re.escape(word).replace(r"\ ", r"\s+") + after)
    return re.compile("|".join(parts) or r"(?!)")
