"""Whether a run may go on with the recipe of now: which keys differ from the one it was begun with.

What says where something is may change: clips, encoders and the weights that a stage begins with are told by content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from mova.errors import ConfigError
from mova.files.json_file import shorten_text
from mova.names import COMPONENTS
from mova.train.config import StepConfig

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
    "model",
    "destination",
    "output",
    "encoders",
    "data.path",
    "data.root",
)
# What names weights that are told by their content (`started_from`), where that was noted.
WEIGHTS: Final = ("base", "start", "start.*_dit", "start.video_dit_2", "start.dual_tower_bridge")
OWN: Final = ("new", "model")
# Keys whose values may lie in the run's own folder.
PLACES: Final = (
    "model",
    "destination",
    "encoders",
    "base",
    "start",
    "data",
    "path",
    "root",
    *COMPONENTS,
)
ABSENT: Final = "(absent)"


def changed_keys(
    saved: Mapping[str, object], present: Mapping[str, object], *, weights_known: bool = False
) -> list[tuple[str, object, object]]:
    """Return (dotted key, value then, value now) of every difference that a run cannot go on over.

    Args:
        saved: the recipe that the run was begun with, as JSON values.
        present: the recipe of now.
        weights_known: whether the weights that the recipe begins with were compared by content.
    """
    then, now = _flat(saved), _flat(present)
    keys = [*then, *(key for key in now if key not in then)]
    return [
        (key, then.get(key, ABSENT), now.get(key, ABSENT))
        for key in keys
        if then.get(key, ABSENT) != now.get(key, ABSENT)
        and not any(fnmatchcase(key, free) for free in FREE)
        and not (_names_weights(key) and _may_be_elsewhere(then.get(key), now.get(key), weights_known))
    ]


def with_later_keys(saved: Mapping[str, object], kind: type[BaseModel]) -> Mapping[str, object]:
    """Return a saved recipe in which keys that came with a later version have their defaults, as they had in effect.

    Args:
        saved: as JSON values.
        kind: the recipe's class of today; where the recipe does not fit it any more, it is returned as it is.
    """
    try:
        completed: Mapping[str, Any] = json.loads(kind.model_validate(saved).model_dump_json())
    except ValidationError:
        return saved
    return completed


def check_same_recipe(
    name: str, saved: Mapping[str, object], present: Mapping[str, object], *, weights_known: bool = False
) -> None:
    """Refuse to go on with another recipe; see `changed_keys`.

    Raises:
        ConfigError: every differing key with both values, and what to do.
    """
    changed = changed_keys(saved, present, weights_known=weights_known)
    if changed:
        lines = "\n".join(f"  {key}: was {_told(then)}, is {_told(now)}" for key, then, now in changed)
        first, was, _ = changed[0]
        raise ConfigError(
            f"{name} was begun with another recipe; these keys differ:\n{lines}\n"
            f"set them back (--set {first}={shorten_text(str(was))}), or begin in a new folder (--set model=...)"
        )


def moved(config: StepConfig, former: Path, folder: Path) -> StepConfig:
    """Return a stage's recipe with everything that lies in a run's folder looked for where the folder is now.

    Args:
        config: the recipe.
        former: the run's folder as the recipe has it.
        folder: where it is now.
    """

    home = former.resolve()

    def there(value: Any) -> Any:
        if isinstance(value, BaseModel):
            known = type(value).model_fields
            return value.model_copy(update={name: there(getattr(value, name)) for name in PLACES if name in known})
        if not isinstance(value, str | Path) or str(value) in OWN:
            return value
        inside = Path(value).resolve()
        if not inside.is_relative_to(home):
            return value
        place = folder / inside.relative_to(home)
        # A text may be the name of a shipped model or of the hub as well.
        return type(value)(place) if isinstance(value, Path) or place.exists() else value

    changed: StepConfig = there(config)
    return changed


def _names_weights(key: str) -> bool:
    return any(fnmatchcase(key, name) for name in WEIGHTS)


def _may_be_elsewhere(then: Any, now: Any, weights_known: bool) -> bool:
    """Whether two values may name the same weights."""
    if not isinstance(then, str) or not isinstance(now, str) or then in OWN or now in OWN:
        return False
    return weights_known or Path(then).resolve() == Path(now).resolve()


def _told(value: Any) -> str:
    return shorten_text(repr(value))


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            leaves |= _flat(item, f"{before}{key}.")
        else:
            leaves[f"{before}{key}"] = list(item) if isinstance(item, tuple) else item
    return leaves
