"""Transcripts with speakers: `[S01] what one says [S02] what another says`, cleaned for counting.

The rules are those of the published cpCER of MOVA: white space and a fixed list of punctuation do not count, nor do
capital letters; the ASCII colon and semicolon and the en dash do. What stands before the first tag is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mova.scorers.words.quotes import find_quotes

_TAG: Final = re.compile(r"\[S(\d{1,3})\]")
_ANY_TAG: Final = re.compile(r"[\[<(【]\s*(?:S|SPK|SPEAKER)[\s_-]*(\d{1,3})\s*[\]>)】]", re.IGNORECASE)
_TIME: Final = re.compile(r"\[\d{1,5}(?:\.\d+)?\]|<\|\d{1,5}(?:\.\d+)?\|>")
# Nobody counts the ASCII colon, semicolon and the en dash among these: see above.
_NO_CHARACTER: Final = re.compile(r"[\s,.!?\"'()，。！？、；：“”‘’（）《》〈〉【】「」『』…—·]+")


@dataclass(frozen=True)
class Transcript:
    """What is said in a clip.

    Attributes:
        text: with tags `[S01]` where the transcriber writes them; "" where nothing is said.
        fault: why nobody knows; "" where somebody does.
    """

    text: str
    fault: str = ""


def normalise_tags(text: str) -> str:
    """Return what a transcriber wrote with each tag as `[S01]` and without times; a tag that repeats the last one goes.

    Args:
        text: with tags such as `[S1]`, `[s01]` or `<speaker 1>`, and times such as `[0.48]`.
    """
    tagged = _ANY_TAG.sub(lambda match: f"[S{int(match[1]):02d}]", _TIME.sub(" ", text))
    parts, last = [], ""
    place = 0
    for match in _TAG.finditer(tagged):
        parts.append(tagged[place : match.start()])
        parts.append("" if match[0] == last else match[0])
        last, place = match[0], match.end()
    parts.append(tagged[place:])
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def without_tags(text: str) -> str:
    """Return the words of a transcript, whoever says them."""
    return re.sub(r"\s+", " ", _TAG.sub(" ", normalise_tags(text))).strip()


def clean(text: str) -> str:
    """Return the characters of a text that count."""
    return _NO_CHARACTER.sub("", text).lower()


def by_speaker(transcript: str) -> Mapping[str, str]:
    """Return what each speaker says in all of a transcript, cleaned, in the order in which they speak first.

    Args:
        transcript: with tags `[S01]`; without any nobody says anything.
    """
    found: dict[str, str] = {}
    _, *rest = _TAG.split(transcript)
    for number, said in zip(rest[::2], rest[1::2], strict=True):
        speaker = f"[S{number}]"
        found[speaker] = found.get(speaker, "") + clean(said)
    return found


def prompt_transcript(prompt: str) -> str:
    """Return the transcript that a prompt asks for by tags, or "" where it has none.

    A tag stands before a quotation, which is what is said; or before a text that lasts until the next tag or the end of
    the line.
    """
    prompt = _ANY_TAG.sub(lambda match: f"[S{int(match[1]):02d}]", prompt)
    starts = {quote.start: quote.text for quote in find_quotes(prompt)}
    parts = []
    places = list(_TAG.finditer(prompt))
    for number, match in enumerate(places):
        end = places[number + 1].start() if number + 1 < len(places) else len(prompt)
        said = prompt[match.end() : end].lstrip(" \t:：")
        text = starts.get(end - len(said))
        parts.append(f"{match[0]} {said.partition(chr(10))[0].strip() if text is None else text}")
    return " ".join(parts)
