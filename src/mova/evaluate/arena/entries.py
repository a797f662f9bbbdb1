"""Which clips of several models belong together: those of one prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.arena.records import read_name
from mova.evaluate.clips.item import ClipItem
from mova.recipe.base import nearest_name

MOST_MODELS: Final = 100


@dataclass
class PromptClips:
    """A prompt with the clips that models made from it.

    Attributes:
        name: of the prompt, unique in the arena.
        text: of the prompt, "" where nobody knows it.
        category: of the prompt.
        clips: files by model, in the order of their names.
    """

    name: str
    text: str
    category: str
    clips: dict[str, list[Path]] = field(default_factory=dict)

    def pairs(self) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
        """Yield each two clips that are compared, as model and number: the first with the first, and so on."""
        for one, other in combinations(sorted(self.clips), 2):
            for number in range(min(len(self.clips[one]), len(self.clips[other]))):
                yield (one, number), (other, number)


def match_prompts(models: Mapping[str, Sequence[ClipItem]]) -> tuple[PromptClips, ...]:
    """Return the prompts of which two models or more have clips.

    Clips belong together where their prompts are the same text; where a clip has none, its name decides.

    Args:
        models: clips of each, by its name.

    Raises:
        ConfigError: fewer than two models, a name that cannot be used, or no prompt that two models have in common.
    """
    if not 2 <= len(models) <= MOST_MODELS:
        raise ConfigError(f"an arena compares 2 to {MOST_MODELS} models, got {len(models)}")
    for model in models:
        read_name(model, "the name of a model")
    by_text: dict[str, PromptClips] = {}
    by_name: dict[str, PromptClips] = {}
    # Those with a text first, in all models: a name may lead to a text.
    for has_text in (True, False):
        for model, items in models.items():
            for item in sorted(items, key=lambda one: one.id):
                if item.path is not None and bool(item.prompt) == has_text:
                    _place(item, by_text, by_name).clips.setdefault(model, []).append(item.path)
    found = {id(one): one for one in (*by_text.values(), *by_name.values())}
    shared = tuple(one for one in found.values() if len(one.clips) > 1)
    if not shared:
        first, second = list(models)[:2]
        names = [item.id for item in models[second] if item.path is not None]
        example = next((item.id for item in models[first] if item.path is not None), "")
        near = nearest_name(example, names[:5]) if names else ""
        raise ConfigError(
            f"two models must have clips of one prompt, got none in common; {first} has {example or 'no clip'!r}{near}"
        )
    return shared


def _place(item: ClipItem, by_text: dict[str, PromptClips], by_name: dict[str, PromptClips]) -> PromptClips:
    known = by_text.get(item.prompt) if item.prompt else by_name.get(item.id)
    if known is None:
        name, number = item.id, 2
        while name in by_name:
            name, number = f"{item.id}~{number}", number + 1
        known = PromptClips(name, item.prompt, item.category)
        by_name[name] = known
        if item.prompt:
            by_text[item.prompt] = known
    by_name.setdefault(item.id, known)
    return known
