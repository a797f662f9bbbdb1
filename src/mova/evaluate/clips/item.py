"""One clip of an evaluation: its name, its file, and what it was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.files.json_file import shorten

MOST_ID_LENGTH: Final = 200
MOST_PROMPT_LENGTH: Final = 100_000
MOST_CLIPS: Final = 1_000_000


@dataclass(frozen=True)
class ClipItem:
    """A clip that is measured.

    Attributes:
        id: its name; unique in an evaluation. Two evaluations are compared clip by clip through it.
        path: its file; None where a prompt has none: such a clip counts in every mean as not scored.
        prompt: what it was made from; "" where nobody knows.
        category: of the prompt, for means by category; "" where there are none.
        columns: what else is known of it.

    Raises:
        ConfigError: the name or the prompt is empty where it must not be, too long, or holds a line end.
    """

    id: str
    path: Path | None
    prompt: str = ""
    category: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.id) <= MOST_ID_LENGTH or not self.id.isprintable():
            raise ConfigError(
                f"the name of a clip must be 1 to {MOST_ID_LENGTH} printable characters, got {shorten(self.id)}"
            )
        if len(self.prompt) > MOST_PROMPT_LENGTH:
            raise ConfigError(
                f"a prompt must have at most {MOST_PROMPT_LENGTH} characters, got {len(self.prompt)} of clip {self.id}"
            )


def check_items(items: Iterable[ClipItem], where: str) -> tuple[ClipItem, ...]:
    """Return the clips of an evaluation, in their order.

    Args:
        items: of it.
        where: they come from, for error texts.

    Raises:
        ConfigError: there is none, or more than `MOST_CLIPS`; or two have one name.
    """
    found = tuple(items)
    if not 1 <= len(found) <= MOST_CLIPS:
        raise ConfigError(f"an evaluation needs 1 to {MOST_CLIPS:,} clips, got {len(found)} in {where}")
    twice = [name for name, count in Counter(item.id for item in found).items() if count > 1]
    if twice:
        raise ConfigError(
            f"every clip must have a name of its own, got {shorten(twice[0])} more than once in {where} "
            f"({len(twice)} such names)"
        )
    return found
