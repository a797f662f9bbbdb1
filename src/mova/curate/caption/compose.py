"""One text of several parts by rule: what is seen, then what is said, then what is heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mova.curate.caption.reports import Utterance
from mova.names import NO_SUBTITLES

_END_MARKS: Final = '.!?…。！？"”」』'


def compose(visual: str, utterances: Sequence[Utterance], audio: str, *, no_subtitles: bool) -> str:
    """Return a caption made of its parts, in the order that the model learned; empty parts are skipped.

    Args:
        visual: what is seen.
        utterances: what is said.
        audio: what is heard.
        no_subtitles: whether it is to say that there are none.
    """
    text = " ".join(sentence(part) for part in (visual, speech_text(utterances), audio) if part.strip())
    return with_subtitles_note(text, no_subtitles=no_subtitles)


def with_subtitles_note(text: str, *, no_subtitles: bool) -> str:
    """Return a caption that ends by saying that there are no subtitles, where that is known."""
    if not no_subtitles or NO_SUBTITLES in text:
        return text
    return f"{sentence(text)} {NO_SUBTITLES}".strip()


def speech_text(utterances: Sequence[Utterance]) -> str:
    """Return what is said, as sentences with the words between double quotes."""
    return " ".join(map(_told, utterances))


def sentence(text: str) -> str:
    """Return a text that ends as a sentence does."""
    text = " ".join(text.split())
    return text if not text or text[-1] in _END_MARKS else f"{text}."


def _told(said: Utterance) -> str:
    speaker = " ".join(said.speaker.split()).rstrip(".") or "somebody"
    manner = ", ".join(part for part in (" ".join(said.delivery.split()), _language(said.language)) if part)
    words = " ".join(said.words.split()).replace('"', "'")
    return f'{speaker[:1].upper()}{speaker[1:]} says{f" ({manner})" if manner else ""}: "{words}".'


def _language(name: str) -> str:
    name = " ".join(name.split())
    return f"in {name}" if name else ""
