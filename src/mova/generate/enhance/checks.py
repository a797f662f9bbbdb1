"""Whether an enhanced prompt keeps the rules: quotes, on-screen text, audio, movement, length, nothing invented."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from mova.endpoints.quotations import faults as quotation_faults
from mova.files.json_file import shorten_text

_PAIRS: Final = (
    ("“", "”"),
    ('"', '"'),
    ("„", "“"),
    ("„", "”"),
    ("«", "»"),
    ("「", "」"),
    ("『", "』"),
    ("＂", "＂"),
    ("〝", "〞"),
)
_OPENING: Final = {opening: [one[1] for one in _PAIRS if one[0] == opening] for opening, _ in _PAIRS}
# Apostrophes stand inside of words, single quotes around them.
_SINGLE: Final = re.compile(r"(?<![\w’'])['‘](?=[^\s'’])([^\n]*?[^\s'‘])['’](?![\w])")
_CHINESE: Final = re.compile(r"[\u3400-\u9fff]")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
# As much is said in four hundred Chinese characters as in two hundred and fifty English words.
_CHARACTERS_PER_WORD: Final = 1.6
_AUDIO: Final = re.compile(
    r"(?:the\s+)?(?:audio|sound|sounds|soundtrack|soundscape)\b|(?:音频|声音|音轨|音效|画外音)", re.IGNORECASE
)
_STILL: Final = re.compile(
    r"\b(?:motionless(?:ly)?|static|frozen|stationary|unmoving|immobile|freeze[- ]frame|"
    r"still (?:image|frame|life|photo|photograph|shot)|"
    r"(?:stand|stands|standing|sit|sits|sitting|lie|lies|lying|remain|remains|stay|stays|hold|holds|keep|keeps|"
    r"perfectly|completely|absolutely) still)\b|静止|一动不动|定格|凝固|静态",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"(?:https?://|www\.)\S{1,200}|[^\s@]{1,64}@[^\s@.]{1,64}\.\w+", re.IGNORECASE)
_REMARK: Final = re.compile(
    r"^\s*(?:```|#{1,6}\s|[-*•]\s|\d+[.)]\s|\{|(?:sure|certainly|of course|here is|here's|here are|okay|prompt\s*:|"
    r"rewritten|enhanced prompt|好的|当然|以下是|提示词\s*[：:]))",
    re.IGNORECASE,
)
_LEAKED_WORDS: Final = 12
# Several times the longest prompt: a text beyond it is no prompt, and is not worth looking into.
_MOST_LETTERS: Final = 20_000
_MOST_NAMED: Final = 3
_FOREIGN_SHARE: Final = 0.3


@dataclass(frozen=True)
class Source:
    """What a prompt was made of.

    Attributes:
        request: what the user wrote.
        texts: what can be read in the first frame.
        instruction: what the model was told; none of it may come back.
        english: whether the prompt is to be in English.
        most_words: of the prompt.
    """

    request: str
    texts: tuple[str, ...] = ()
    instruction: str = ""
    english: bool = True
    most_words: int = 250


def find_faults(prompt: str, source: Source) -> tuple[str, ...]:
    """Return what is wrong with a prompt, as whole sentences for who writes it anew; nothing where it is right."""
    if len(prompt) > _MOST_LETTERS:
        return (f"The prompt must have at most {source.most_words} words, and is far longer.",)
    found = list(quotation_faults(prompt, quoted_lines(source.request), source.texts))
    plain = _spaced(prompt)
    missing = [text for text in source.texts if _spaced(text) and _spaced(text) not in plain]
    found += [f'This text of the image must stand in the prompt exactly so: "{text}".' for text in missing]
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", prompt.strip()) if part.strip()]
    if len(paragraphs) < 2 or not _AUDIO.match(paragraphs[-1]):
        found.append('The last paragraph must begin with "The audio shows" and tell what is heard.')
    outside = _without_quotes(prompt)
    still = {match[0].lower() for match in _STILL.finditer(outside)}
    still -= {match[0].lower() for match in _STILL.finditer(source.request)}
    if still:
        found.append(f"These words let things stand still and must go: {', '.join(sorted(still)[:_MOST_NAMED])}.")
    words = count_words(prompt)
    if words > source.most_words:
        found.append(f"There are {words} words, and {source.most_words} at most are allowed.")
    strange = [one for one in _ADDRESS.findall(prompt) if one not in source.request and one not in source.texts]
    if strange:
        found.append(f"Nobody named the address {shorten_text(strange[0])}.")
    if _REMARK.match(prompt) or "\n#" in prompt or "```" in prompt:
        found.append("The prompt must be plain paragraphs: no remark before it, no heading, no list, no code.")
    if _leaks(prompt, source.instruction):
        found.append("The prompt repeats the instruction, which is no part of the scene.")
    if source.english and _chinese_share(outside) > _FOREIGN_SHARE:
        found.append("The prompt must be in English; only what is quoted keeps its own language.")
    return tuple(found)


def quoted_lines(text: str) -> tuple[str, ...]:
    """Return what stands between quotation marks of any kind, in order; of quotes inside of quotes the outer ones.

    A mark that is never closed quotes nothing.
    """
    spans, place = [], 0
    while place < len(text):
        ends = [end for mark in _OPENING.get(text[place], ()) if (end := text.find(mark, place + 1)) > 0]
        if ends:
            spans.append((place, min(ends)))
            place = min(ends)
        place += 1
    for match in _SINGLE.finditer(text):
        if not any(start <= match.start() <= end for start, end in spans):
            spans.append((match.start(), match.end() - 1))
    lines = [text[start + 1 : end].strip() for start, end in sorted(spans)]
    return tuple(dict.fromkeys(line for line in lines if any(letter.isalnum() for letter in line)))


def has_open_quote(text: str) -> bool:
    """Return whether a double quotation mark is opened and never closed."""
    place = 0
    while place < len(text):
        marks = _OPENING.get(text[place])
        if marks:
            ends = [end for mark in marks if (end := text.find(mark, place + 1)) > 0]
            if not ends:
                return True
            place = min(ends)
        place += 1
    return False


def count_words(text: str) -> int:
    """Return the number of words; Chinese characters count as five eighths of a word each."""
    characters = len(_CHINESE.findall(text))
    return len(_WORD.findall(_CHINESE.sub(" ", text))) + round(characters / _CHARACTERS_PER_WORD)


def is_chinese(text: str) -> bool:
    """Return whether a text is written in Chinese, but for what it quotes."""
    return _chinese_share(_without_quotes(text)) > _FOREIGN_SHARE


def _chinese_share(text: str) -> float:
    characters, words = len(_CHINESE.findall(text)), len(_WORD.findall(_CHINESE.sub(" ", text)))
    return characters / max(1, characters + words)


def _without_quotes(text: str) -> str:
    for line in quoted_lines(text):
        text = text.replace(line, " ")
    return text


def _spaced(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _leaks(prompt: str, instruction: str) -> bool:
    """Return whether a row of words of an instruction stands in a prompt."""
    told = f" {' '.join(_WORD.findall(instruction.lower()))} "
    words = _WORD.findall(prompt.lower())
    rows = (" ".join(words[at : at + _LEAKED_WORDS]) for at in range(len(words) - _LEAKED_WORDS + 1))
    return any(f" {row} " in told for row in rows)
