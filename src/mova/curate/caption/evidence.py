"""What scorers know of a clip that captions must not contradict: who could have spoken, and whether there is text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mova.curate.caption.reports import Utterance
from mova.curate.records import ClipRecord
from mova.scorers.base import Span

VOICES: Final = ("speech", "singing")
# The fastest speakers reach 25 letters in a second; spans begin late and end early.
_MOST_LETTERS_PER_S: Final = 40.0
_SLACK_S: Final = 1.0


def value(record: ClipRecord, name: str) -> float | None:
    """Return a score, or None where it was not measured."""
    score = record.scores.get(name)
    return None if score is None else score.value


def without_text(record: ClipRecord) -> bool:
    """Return whether burned-in text was looked for, and none was found."""
    return value(record, "text_area") == 0


def voice_spans(record: ClipRecord) -> tuple[Span, ...]:
    """Return when somebody speaks or sings, in order and apart."""
    found = [span for name in VOICES for span in record.spans.get(name, ())]
    return union([*record.speech, *found])


def voice_s(record: ClipRecord) -> float | None:
    """Return how many seconds somebody speaks or sings; None where nobody has listened for it."""
    spans = voice_spans(record)
    if not spans and value(record, "speech_share") is None:
        return None
    return sum(end - start for start, end in spans)


def invented(utterances: Sequence[Utterance], record: ClipRecord) -> bool:
    """Return whether words were made up: nobody was heard, or nobody could have said so much in that time."""
    heard_s = voice_s(record)
    if not utterances or heard_s is None:
        return False
    letters = sum(len(said.words) for said in utterances)
    return heard_s == 0 or letters > _MOST_LETTERS_PER_S * (heard_s + _SLACK_S)


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in order and apart that cover the same times."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)
