"""Files of prompts, and which clip was made from which.

A file of prompts holds one of these:

* `{"ID": "PROMPT", ...}`, or `{"ID": {"prompt": "PROMPT"}, ...}`
* `{"CATEGORY": {"ID": "PROMPT" or {"prompt": "PROMPT"}}, ...}`, as the prompts of Verse-Bench are published
* a line of JSON for each: `{"id": "ID", "prompt": "PROMPT", "category": "CATEGORY"}`

A clip belongs to a prompt where its name is the prompt's, or begins with it and `_video_`, as the published evaluation
names its clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.clips.manifest import iter_lines
from mova.files.json_file import as_fields, parse_json, read_json, shorten
from mova.recipe.base import nearest_name

_MARK: Final = "_video_"
_MOST_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class Prompt:
    """A prompt of a benchmark.

    Attributes:
        id: its name, unique within its category.
        text: the prompt.
        category: "" where there are none.
    """

    id: str
    text: str
    category: str = ""


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Return the prompts of a file, in its order.

    Raises:
        ConfigError: the file cannot be read, has none of the forms above, or names a prompt twice.
    """
    if path.suffix == ".jsonl":
        prompts = [_of_line(line, f"{path}, line {number}") for number, line in enumerate(iter_lines(path), start=1)]
    else:
        document = read_json(path, error=ConfigError, most_bytes=_MOST_BYTES)
        prompts = list(_of_document(document, str(path)))
    known = {(prompt.category, prompt.id) for prompt in prompts}
    if not prompts or len(known) < len(prompts):
        what = "none" if not prompts else "the same one twice"
        raise ConfigError(f"a file of prompts must hold prompts, each once in its category; got {what} in {path}")
    return tuple(prompts)


def give_prompts(items: Sequence[ClipItem], prompts: Sequence[Prompt], where: str) -> tuple[ClipItem, ...]:
    """Return clips with their prompts and categories, and after them an item without a file for each prompt left over.

    Args:
        items: clips as they were found. Where prompts have categories, a clip's own category chooses among them.
        prompts: of a benchmark.
        where: the prompts come from, for error texts.

    Raises:
        ConfigError: a clip matches no prompt, or several; the text names the nearest.
    """
    by_id: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_id.setdefault(prompt.id, []).append(prompt)
    used: set[tuple[str, str]] = set()
    given = []
    for item in items:
        prompt = _match(item, by_id, where)
        used.add((prompt.category, prompt.id))
        given.append(replace(item, prompt=prompt.text, category=prompt.category or item.category))
    several = len({prompt.category for prompt in prompts}) > 1
    for prompt in prompts:
        if (prompt.category, prompt.id) not in used:
            name = f"{prompt.category}/{prompt.id}" if several else prompt.id
            given.append(ClipItem(name, None, prompt.text, prompt.category))
    return tuple(given)


def _match(item: ClipItem, by_id: Mapping[str, list[Prompt]], where: str) -> Prompt:
    stem = item.id.rpartition("/")[2]
    names = [stem, *(stem[:at] for at in _places(stem))]
    found = [prompt for name in names for prompt in by_id.get(name, ())]
    in_category = [prompt for prompt in found if prompt.category == item.category]
    found = in_category or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(
            f"every clip must have a prompt in {where}, got {shorten(item.id)}, which is the name of none"
            f"{nearest_name(names[-1], tuple(by_id))}"
        )
    told = ", ".join(f"{one.category}/{one.id}" if one.category else one.id for one in found[:3])
    raise ConfigError(f"a clip must belong to one prompt of {where}, got {shorten(item.id)}, which matches {told}")


def _places(stem: str) -> Iterable[int]:
    at = stem.find(_MARK)
    while at > 0:
        yield at
        at = stem.find(_MARK, at + 1)


def _of_line(line: bytes, where: str) -> Prompt:
    fields = as_fields(parse_json(line, where, error=ConfigError), where, error=ConfigError)
    return Prompt(fields.text("id"), fields.text("prompt"), fields.text("category", ""))


def _of_document(document: object, where: str) -> Iterable[Prompt]:
    outer = as_fields(document, where, error=ConfigError).values
    for key, value in outer.items():
        if (text := _text(value)) is not None:
            yield Prompt(key, text)
            continue
        inner = as_fields(value, f"{where}: {shorten(key)}", error=ConfigError).values
        for name, one in inner.items():
            if (text := _text(one)) is None:
                raise ConfigError(f"{where}: {shorten(key)}.{shorten(name)} must be a prompt, got {shorten(one)}")
            yield Prompt(name, text, key)


def _text(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("prompt")
    return value if isinstance(value, str) else None
