"""Whether a run may go on with the recipe of now: which keys differ from the one it was begun with."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from mova.errors import ConfigError

# What says how long, where and how often, and nothing about what is learned from what.
FREE: Final = (
    "run.max_steps",
    "run.max_minutes",
    "run.micro_batch",
    "run.device",
    "run.compile",
    "run.log_every",
    "run.validate_every",
    "run.checkpoint_every*",
    "run.keep_checkpoints",
    "run.sinks",
    "parallel.*",
    "memory.base_dtype",
    "memory.checkpoint_activations",
    "memory.offload_activations",
    "memory.one_expert",
    "memory.stream_blocks",
    "data.workers",
    "validation.*",
    "device",
    "batch_size",
)
ABSENT: Final = "(absent)"


def changed_keys(saved: Mapping[str, Any], present: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, value then, value now) of every difference that a run cannot go on over.

    Args:
        saved: the recipe that the run was begun with, as JSON values.
        present: the recipe of now.
    """
    then, now = _flat(saved), _flat(present)
    keys = [*then, *(key for key in now if key not in then)]
    return [
        (key, then.get(key, ABSENT), now.get(key, ABSENT))
        for key in keys
        if then.get(key, ABSENT) != now.get(key, ABSENT) and not any(fnmatchcase(key, free) for free in FREE)
    ]


def check_same_recipe(name: str, saved: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Refuse to go on with another recipe.

    Raises:
        ConfigError: every differing key with both values, and what to do.
    """
    changed = changed_keys(saved, present)
    if changed:
        lines = "\n".join(f"  {key}: was {then!r}, is {now!r}" for key, then, now in changed)
        first, was, _ = changed[0]
        raise ConfigError(
            f"{name} was begun with another recipe; these keys differ:\n{lines}\n"
            f"set them back (--set {first}={was}), or begin in a new folder (--set model=...)"
        )


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            leaves |= _flat(item, f"{before}{key}.")
        else:
            leaves[f"{before}{key}"] = list(item) if isinstance(item, tuple) else item
    return leaves
