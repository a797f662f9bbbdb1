"""What a run learned from: enough of every clip to tell on resuming whether it is the same, and which one is not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from mova.data.batch import ClipFacts
from mova.errors import DataError
from mova.files.json_file import as_fields, shorten_text

# 48 bits of each digest: of a million clips no two are taken for each other by chance.
_DIGITS: Final = 12
_NAMED: Final = 5
# Names are for messages only; those of very many clips would make every state large.
_MOST_NAMES_BYTES: Final = 4 * 2**20


def record_of(facts: Sequence[ClipFacts]) -> dict[str, object]:
    """Return contents, captions and names of clips in their order, as JSON values."""
    names = [fact.key for fact in facts]
    return {
        "contents": "".join(_contents(facts)),
        "captions": "".join(_captions(facts)),
        "names": names if sum(map(len, names)) <= _MOST_NAMES_BYTES else [],
    }


def joined(saved: Sequence[object], where: str) -> dict[str, object]:
    """Return the record of several lists of clips, one after the other.

    Args:
        saved: records as `record_of` returned them.
        where: they come from, for error texts.

    Raises:
        DataError: one of them is no record.
    """
    records = [as_fields(one, where, error=DataError) for one in saved]
    texts = {key: "".join(record.text(key) for record in records) for key in ("contents", "captions")}
    names = [record.texts("names") for record in records]
    return texts | {"names": [name for some in names for name in some] if all(names) else []}


def check_same_clips(
    saved: Mapping[str, object], facts: Sequence[ClipFacts], where: str, which: str = "learned from"
) -> None:
    """Refuse other clips than a run learned from; what they are called and where they are does not matter.

    Args:
        saved: as `record_of` returned it.
        facts: the clips of now.
        where: `saved` comes from, for error texts.
        which: what the run did with them, for error texts.

    Raises:
        DataError: contents, captions or their order differ; the first few are named.
    """
    record = as_fields(saved, where, error=DataError)
    contents, captions = (_split(record.text(key)) for key in ("contents", "captions"))
    if (contents, captions) == (_contents(facts), _captions(facts)):
        return
    names = _numbered(record.texts("names"))
    now = _contents(facts)
    if sorted(zip(contents, captions, strict=False)) == sorted(zip(now, _captions(facts), strict=True)):
        found: dict[str, list[str]] = {}
    elif not names or len(names) != len(contents):
        # Without names the contents have to do: a changed clip is a missing and a new one.
        then = set(contents)
        found = {
            "missing": [""] * len(then - set(now)),
            "new": [fact.key for fact, content in zip(facts, now, strict=True) if content not in then],
        }
    else:
        found = _by_name(dict(zip(names, zip(contents, captions, strict=True), strict=True)), facts)
    told = "; ".join(f"{len(keys)} {what}{_some(keys)}" for what, keys in found.items() if keys)
    raise DataError(
        f"the clips must be those that the run {which}, got {len(facts)} where there were {len(contents)}: "
        f"{told or 'the same in another order, or with other file names'}; restore them, or begin in a new folder"
    )


def _by_name(saved: Mapping[tuple[str, int], tuple[str, str]], facts: Sequence[ClipFacts]) -> dict[str, list[str]]:
    names = _numbered([fact.key for fact in facts])
    present = dict(zip(names, zip(_contents(facts), _captions(facts), strict=True), strict=True))
    both_have = [key for key in present if key in saved]
    found = {
        "of other content": [key for key in both_have if present[key][0] != saved[key][0]],
        "with another caption": [key for key in both_have if present[key][1] != saved[key][1]],
        "missing": [key for key in saved if key not in present],
        "new": [key for key in present if key not in saved],
    }
    return {what: [name for name, _ in keys] for what, keys in found.items()}


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Tell entries of one name apart, which several captions of a file are, by their order."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        numbered.append((name, seen[name]))
        seen[name] += 1
    return numbered


def _some(keys: Sequence[str]) -> str:
    if not keys[0]:
        return ""
    more = " ..." if len(keys) > _NAMED else ""
    return f" ({', '.join(shorten_text(key, 80) for key in keys[:_NAMED])}{more})"


def _contents(facts: Sequence[ClipFacts]) -> list[str]:
    return [_digest(f"{fact.bucket} {fact.content or fact.key}") for fact in facts]


def _captions(facts: Sequence[ClipFacts]) -> list[str]:
    return [_digest(fact.caption) for fact in facts]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _split(text: str) -> list[str]:
    return [text[start : start + _DIGITS] for start in range(0, len(text), _DIGITS)]
