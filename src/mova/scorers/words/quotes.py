"""What a prompt puts in quotation marks: lines that somebody says, or texts that can be read in the video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_LENGTH: Final = 2000
"""Characters of a quotation; marks further apart do not belong together."""
_MARKS: Final = {
    '"': '"',
    "“": "”",
    "„": "“”",
    "”": "”",
    "«": "»",
    "‹": "›",
    "「": "」",
    "『": "』",
    "＂": "＂",
    "‘": "’",
    "'": "'",
}
_APOSTROPHES: Final = "'’"
_ENDS: Final = re.compile(r"[.!?。！？\n;；]")
_BEFORE, _AFTER, _LINKED = 120, 80, 30

_NOUNS: Final = (
    "sign|signboard|signage|text|caption|subtitle|title|banner|poster|billboard|label|logo|headline|lettering|letter|"
    "inscription|screen|plaque|license plate|t-shirt|shirt|nameplate|sticker|menu|newspaper|chalkboard|blackboard|"
    "whiteboard|placard|chyron|watermark|tattoo|graffiti|neon|credit|letterhead|marquee|cover"
)
_WRITTEN: Final = re.compile(
    rf"\b(?:(?:{_NOUNS})s?|written|writes?|writing|wrote|handwritten|printed|engraved|inscribed|typed|painted|"
    r"reads?(?! (?:aloud|out))|reading(?! (?:aloud|out))|spells?|spelling|displays?|displayed|displaying|on-screen)\b"
    "|写着|写有|写道|字样|文字|标题|字幕|招牌|牌子|标语|海报|横幅|印着|印有|刻着|题字|显示|标志|屏幕",
    re.IGNORECASE,
)
_SAID: Final = re.compile(
    r"\b(?:says?|saying|said|tells?|telling|told|asks?|asking|asked|repl(?:y|ies|ied|ying)|answer(?:s|ed|ing)?|"
    r"speaks?|speaking|spoke|whisper(?:s|ed|ing)?|shout(?:s|ed|ing)?|yell(?:s|ed|ing)?|scream(?:s|ed|ing)?|"
    r"exclaim(?:s|ed|ing)?|murmur(?:s|ed|ing)?|mutter(?:s|ed|ing)?|announc(?:es?|ed|ing)|calls? out|calling out|"
    r"narrat\w*|voice-?overs?|voices?|recit(?:es?|ed|ing)|sings?|singing|sang|chant(?:s|ed|ing)?|greet(?:s|ed|ing)?|"
    r"declar(?:es?|ed|ing)|respond(?:s|ed|ing)?|remark(?:s|ed|ing)?|adds|continues|dialogues?|dialogs?|lyrics?|"
    r"reads? (?:aloud|out)|reading (?:aloud|out))\b|说|问|喊|唱|答|讲|念|低语|旁白|台词|对白|大叫",
    re.IGNORECASE,
)
_SIGN_SAYS: Final = re.compile(
    r"(?:\b(?P<beside>beside|near|under|behind|by|with|in|on|at|before|next to|in front of|holding)\s+"
    r"(?:[\w-]+\s+){0,3}?)?"
    rf"\b(?:{_NOUNS})s?\b\s*,?\s*(?P<which>that|which)?\s*(?P<verb>says?|saying)\W*$",
    re.IGNORECASE,
)
_WEAK_SAID: Final = re.compile(r"\b(?:lines?|words of)\b", re.IGNORECASE)
_WEAK_WRITTEN: Final = re.compile(r"\b(?:words?|phrase|message)\b", re.IGNORECASE)


class QuoteKind(StrEnum):
    """What a quotation is.

    Attributes:
        SAID: somebody says or sings it.
        WRITTEN: it can be read in the video.
        UNCLEAR: nothing tells, for example a name.
    """

    SAID = "said"
    WRITTEN = "written"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Quote:
    """A quotation.

    Attributes:
        text: between the marks.
        kind: by the words around it.
        start, end: where it stands in the prompt, with its marks.
    """

    text: str
    kind: QuoteKind
    start: int
    end: int


def find_quotes(prompt: str) -> tuple[Quote, ...]:
    """Return the quotations of a prompt, in order.

    English and Chinese words around them tell what they are; without such words, a quotation that ends as a sentence
    does is said.
    """
    places = list(_places(prompt))
    found: list[Quote] = []
    for number, (start, end) in enumerate(places):
        begin = places[number - 1][1] if number else 0
        stop = places[number + 1][0] if number + 1 < len(places) else len(prompt)
        text = prompt[start + 1 : end - 1].strip()
        kind = _kind(text, prompt[begin:start], prompt[end:stop], found[-1].kind if found else None)
        found.append(Quote(text, kind, start, end))
    return tuple(found)


def quoted(prompt: str, kind: QuoteKind) -> tuple[str, ...]:
    """Return the texts of the quotations of a kind, in order."""
    return tuple(quote.text for quote in find_quotes(prompt) if quote.kind is kind)


def without_quotes(prompt: str) -> str:
    """Return a prompt without its quotations."""
    parts, place = [], 0
    for quote in find_quotes(prompt):
        parts.append(prompt[place : quote.start])
        place = quote.end
    return " ".join((*parts, prompt[place:]))


def _places(prompt: str) -> Iterator[tuple[int, int]]:
    """Yield where quotations begin and end, with their marks; they do not overlap."""
    at = 0
    while at < len(prompt):
        closing = _MARKS.get(prompt[at])
        end = _closing(prompt, at, closing) if closing is not None else None
        if end is not None and any(letter.isalnum() for letter in prompt[at + 1 : end]):
            yield at, end + 1
            at = end
        at += 1


def _closing(prompt: str, at: int, closing: str) -> int | None:
    """Return where a quotation that begins at a place ends, or None where none begins."""
    single = closing in _APOSTROPHES
    if single and (_is_word(prompt, at - 1) or not prompt[at + 1 : at + 2].strip()):
        return None
    for end in range(at + 1, min(len(prompt), at + 2 + MOST_LENGTH)):
        # A single mark inside of a word is an apostrophe.
        if prompt[end] in closing and not (single and _is_word(prompt, end + 1)):
            return end
    return None


def _is_word(prompt: str, at: int) -> bool:
    return 0 <= at < len(prompt) and prompt[at].isalnum() and prompt[at].isascii()


def _kind(text: str, before: str, after: str, previous: QuoteKind | None) -> QuoteKind:
    clause = _ENDS.split(before)[-1][-_BEFORE:]
    following = _ENDS.split(after)[0][:_AFTER]
    told = _told(clause)
    if told is None and _WEAK_SAID.search(clause):
        told = QuoteKind.SAID
    if told is None and _WEAK_WRITTEN.search(clause):
        told = _first(following) or QuoteKind.WRITTEN
    told = told or _first(following)
    if told is None and previous is not None and len(before) <= _LINKED and not _ENDS.search(before):
        told = previous
    if told is not None:
        return told
    return QuoteKind.SAID if text[-1] in ".!?…。！？" else QuoteKind.UNCLEAR


def _told(clause: str) -> QuoteKind | None:
    """Return what the last of the words before a quotation tells."""
    sign = _SIGN_SAYS.search(clause)
    if sign is not None:
        by_somebody = sign["beside"] is not None and sign["which"] is None and sign["verb"].lower() != "saying"
        return QuoteKind.SAID if by_somebody else QuoteKind.WRITTEN
    said = max((match.end() for match in _SAID.finditer(clause)), default=-1)
    written = max((match.end() for match in _WRITTEN.finditer(clause)), default=-1)
    if said == written == -1:
        return None
    return QuoteKind.SAID if said >= written else QuoteKind.WRITTEN


def _first(following: str) -> QuoteKind | None:
    """Return what the first of the words after a quotation tells."""
    said, written = _SAID.search(following), _WRITTEN.search(following)
    if said is None or written is None:
        return QuoteKind.SAID if said is not None else QuoteKind.WRITTEN if written is not None else None
    return QuoteKind.SAID if said.start() <= written.start() else QuoteKind.WRITTEN
