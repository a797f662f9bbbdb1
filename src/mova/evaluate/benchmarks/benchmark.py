"""A benchmark: prompts with their first frames, and what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mova.errors import ConfigError
from mova.evaluate.clips.item import MOST_CLIPS, ClipItem
from mova.files.json_file import shorten


@dataclass(frozen=True)
class BenchmarkItem:
    """One thing that a model is asked for.

    Attributes:
        id: its name; unique in its category.
        prompt: what is to be made.
        category: "" where there are none.
        image: first frame, an image file; None asks for a clip from text alone.
        columns: what else is known, for example `transcript`: the lines that are to be said, each behind the tag of its
            speaker ([S01], [S02] ...).
    """

    id: str
    prompt: str
    category: str = ""
    image: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The name becomes that of a file.
        ClipItem(self.name, None, self.prompt)
        for part in (self.id, *(self.category.split("/") if self.category else ())):
            if not part or any(sign in part for sign in '/\\:*?"<>|\0') or part.startswith("."):
                raise ConfigError(
                    f"names of a benchmark must be plain names of files, got {shorten(self.id)} in category "
                    f"{shorten(self.category)}"
                )
        if not self.prompt.strip():
            raise ConfigError(f"a prompt must hold text, got {shorten(self.prompt)} of {shorten(self.id)}")

    @property
    def name(self) -> str:
        """Name of its clip: the category and the id."""
        return f"{self.category}/{self.id}" if self.category else self.id

    def clip(self, folder: Path) -> Path:
        """Return the file of its clip in a folder."""
        return folder / f"{self.name}.mp4"

    def as_clip(self, folder: Path) -> ClipItem:
        """Return its clip in a folder as what is measured; without a file where there is none yet."""
        path = self.clip(folder)
        return ClipItem(self.name, path if path.is_file() else None, self.prompt, self.category, self.columns)


@dataclass(frozen=True)
class Benchmark:
    """Things that models are asked for, so that they can be compared.

    Attributes:
        name: for reports.
        items: in their order.
        source: where it comes from.
        licence: of its prompts and images.

    Raises:
        ConfigError: there is no item, there are too many, or two have one name.
    """

    name: str
    items: tuple[BenchmarkItem, ...]
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.items) <= MOST_CLIPS:
            raise ConfigError(f"a benchmark must have 1 to {MOST_CLIPS:,} items, got {len(self.items)} in {self.name}")
        # Some file systems take upper and lower case for the same.
        twice = [name for name, count in Counter(item.name.casefold() for item in self.items).items() if count > 1]
        if twice:
            raise ConfigError(f"every item of a benchmark must have a name of its own, got {shorten(twice[0])} twice")

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories, in their order."""
        return tuple(dict.fromkeys(item.category for item in self.items))

    def limited(self, limit: int | None) -> Benchmark:
        """Return the benchmark with so many items at most, the categories in turn; None takes all.

        A smaller part is in every larger one.

        Raises:
            ConfigError: the limit is below 1.
        """
        if limit is None or limit >= len(self.items):
            return self
        if limit < 1:
            raise ConfigError(f"limit must be 1 or more, got {limit}; nearest is 1")
        chosen = {item.name for item, _ in zip(_in_turn(self.items), range(limit), strict=False)}
        return replace(self, items=tuple(item for item in self.items if item.name in chosen))


def _in_turn(items: Sequence[BenchmarkItem]) -> Iterator[BenchmarkItem]:
    groups: dict[str, list[BenchmarkItem]] = {}
    for item in items:
        groups.setdefault(item.category, []).append(item)
    for place in range(max(len(group) for group in groups.values())):
        for group in groups.values():
            if place < len(group):
                yield group[place]
