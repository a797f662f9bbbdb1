"""Whether a caption quotes what was said, word for word, and nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from mova.files.json_file import shorten_text

_DOUBLE: Final = '"“”„‟«»「」『』＂〝〞'
_SINGLE: Final = "'’‘‚‛ʼ＇"
_ENDS: Final = " .,;:!?…。，、；：！？–—-"
_MOST_QUOTES: Final = 500
_QUOTES: Final = str.maketrans("", "", _DOUBLE + _SINGLE)
_SPLIT: Final = re.compile(f"[{re.escape(_DOUBLE)}]")


def faults(caption: str, words: Sequence[str], texts: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a caption does wrong with quoted words; nothing where it is right.

    Kinds of quotation marks, white space and the punctuation around an utterance are free; every letter of it is not.
    An utterance may be told in two pieces, as in "Well," he says, "come in."

    Args:
        caption: the text.
        words: utterances that it must quote.
        texts: what else it may quote: texts that can be read in the clip.

    Returns:
        Whole sentences, for whoever is to write it anew.
    """
    pieces = _SPLIT.split(_normal(caption))
    if len(pieces) % 2 == 0:
        return ("A double quote is never closed.",)
    quoted = [piece.strip() for piece in pieces[1::2] if piece.strip(_ENDS)]
    if len(quoted) > _MOST_QUOTES:
        return (f"There are {len(quoted)} quotations, and {len(words)} utterances.",)
    said, read = [_bare(text) for text in words], [_bare(text) for text in texts]
    # Sentences end with a comma inside of a quotation, and pieces that are told apart each have their ends.
    bare = [_bare(piece) for piece in quoted]
    joined = (*bare, " ".join(bare), "".join(bare), " ".join(map(_without_quotes, quoted)))
    found = []
    for text, original in zip(said, words, strict=True):
        if text and not _is_quoted(text, original, joined, caption):
            found.append(f'These words must stand between double quotes exactly so: "{original.strip()}".')
    spoken = (" ".join(said), "".join(said))
    for piece in bare:
        if piece and not any(piece in text for text in (*said, *spoken, *read)):
            found.append(f'Nobody says, and nothing shows, "{shorten_text(piece)}": it must not be quoted.')
    return tuple(found)


def _is_quoted(text: str, original: str, joined: Sequence[str], caption: str) -> bool:
    if any(_stands_in(text, one) for one in joined):
        return True
    # Quotes inside of quotes cannot be told from those around them: then the words must stand between the outermost.
    nested = _SPLIT.search(original) is not None
    outer = _SPLIT.split(_normal(caption), maxsplit=1)[-1]
    return nested and _stands_in(text, _bare(outer))


def _stands_in(text: str, whole: str) -> bool:
    """Return whether a text is a part of another that begins and ends where words do."""
    start = whole.find(text)
    while start >= 0:
        end = start + len(text)
        before, after = whole[start - 1 : start], whole[end : end + 1]
        if not (_joins(before, text[0]) or _joins(text[-1], after)):
            return True
        start = whole.find(text, start + 1)
    return False


def _joins(one: str, other: str) -> bool:
    """Return whether neighbours are letters of one word; in scripts without spaces each stands for itself."""
    return bool(one and other) and all(letter.isalnum() and ord(letter) < 0x2E80 for letter in (one, other))


def _bare(text: str) -> str:
    return _without_quotes(text).strip(_ENDS)


def _without_quotes(text: str) -> str:
    return " ".join(_normal(text).translate(_QUOTES).split())


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
