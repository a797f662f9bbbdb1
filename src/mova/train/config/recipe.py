"""Recipes: one strict YAML file per run. Unknown keys are errors, all of them listed with the nearest known name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from mova.data.config import MediaDataConfig, ToyDataConfig
from mova.errors import ConfigError
from mova.files.json_file import shorten, shorten_text
from mova.recipe.base import nearest_name
from mova.recipe.locate import find_recipe, former_recipe
from mova.recipe.yaml_file import parse_yaml, read_yaml
from mova.train.config.distill import DistillConfig
from mova.train.config.joint import AudioTowerConfig, JointConfig, LoraConfig
from mova.train.config.stages import (
    AudioAutoencoderConfig,
    LadderConfig,
    LatentsConfig,
    PublishConfig,
    TextEncoderConfig,
    VideoAutoencoderConfig,
)

TrainedConfig = (
    TextEncoderConfig
    | VideoAutoencoderConfig
    | AudioAutoencoderConfig
    | AudioTowerConfig
    | JointConfig
    | LoraConfig
    | DistillConfig
)
StepConfig = TrainedConfig | LatentsConfig | PublishConfig
StageConfig = StepConfig | LadderConfig
_MOST_FAULTS = 20
_MOST_NEIGHBOURS = 1000
_ADAPTER: TypeAdapter[StageConfig] = TypeAdapter(Annotated[StageConfig, Field(discriminator="stage")])


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> StageConfig:
    """Read a recipe and apply `key.sub=value` overrides.

    Args:
        recipe: name of a shipped one, or path of a YAML file; `mova.recipe.locate` has the rule.
        overrides: `key.sub=value` texts.

    Raises:
        ConfigError: an unknown name, a missing or unreadable file, or keys and values that do not fit; every fault is
            listed.
    """
    path = find_recipe(recipe, "train")
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        if former := former_recipe(path, "train"):
            raise ConfigError(f"there is no recipe at {path}{former}") from None
        there = {found.name: found for found in _neighbours(path)}
        near = difflib.get_close_matches(path.name, there, 1)
        hint = f"; did you mean {there[near[0]]}?" if near else ""
        raise ConfigError(f"there is no recipe at {path}{hint}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with a key 'stage', got {type(raw).__name__}")
    if strange := [key for key in raw if not isinstance(key, str)]:
        raise ConfigError(f"{path} must have texts as keys, got {shorten(strange[0])}")
    for text in overrides:
        _apply_override(raw, text)
    try:
        return _ADAPTER.validate_python(raw)
    except ValidationError as error:
        raise ConfigError(f"{path} does not fit:\n" + "\n".join(_explain(error))) from error


def accepts(config: StageConfig, override: str) -> bool:
    """Tell whether a recipe's kind has the key of a `key.sub=value` override."""
    node: Any = type(config)
    for part in override.partition("=")[0].split("."):
        known = _fields_of(node)
        if part not in known:
            return False
        node = known[part]
    return True


def _neighbours(path: Path) -> Iterable[Path]:
    """Yield recipes one folder below where one was looked for, then those beside it; not more than people keep."""
    for pattern in ("*/*.yaml", "*.yaml"):
        yield from islice(path.parent.glob(pattern), _MOST_NEIGHBOURS)


def _apply_override(raw: dict[str, Any], text: str) -> None:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"an override must read key=value, got {shorten(text)}; for example run.max_steps=100")
    *parents, last = name.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {shorten(text)}: {shorten_text(parent, 60)} is a value, not a section")
    node[last] = parse_yaml(value, f"the value of override {shorten(text)} is not YAML")


def _explain(error: ValidationError) -> list[str]:
    """Return a line for each fault, the first few of very many: the rule, the value, and what is near it."""
    lines = []
    faults = error.errors(include_url=False)
    for fault in faults[:_MOST_FAULTS]:
        named = [str(part) for part in fault["loc"] if part not in _STAGE_NAMES and part not in _SOURCES]
        where = shorten_text(".".join(shorten_text(part, 60) for part in named))
        match fault["type"]:
            case "extra_forbidden":
                text = f"unknown key{nearest_name(str(fault['loc'][-1]), _fields_at(fault['loc']))}"
            case "missing":
                text = "this key is needed"
            case "union_tag_not_found" | "union_tag_invalid":
                where, given = "stage", fault["input"].get("stage")
                known = sorted(_STAGE_NAMES)
                text = f"must be one of {', '.join(known)}, got {shorten(given)}{_nearest_of(given, known)}"
            case "value_error" if isinstance(fault["input"], dict):
                text = _message(fault)
            case _:
                text = f"{_message(fault)}, got {shorten(fault['input'])}{_nearest(fault)}"
        lines.append(f"  {where}: {text}" if where else f"  {text}")
    if len(faults) > _MOST_FAULTS:
        lines.append(f"  and {len(faults) - _MOST_FAULTS} more")
    return lines


def _message(fault: Any) -> str:
    return shorten_text(str(fault["msg"]).removeprefix("Value error, "), 600)


def _nearest(fault: Any) -> str:
    """Return the end of an error text: the nearest value that a bound admits, or the name that is meant."""
    bounds = fault.get("ctx", {})
    match fault["type"]:
        case "greater_than_equal" | "less_than_equal":
            return f"; nearest is {bounds.get('ge', bounds.get('le')):g}"
        case "finite_number":
            return "; it must be finite"
        case "literal_error":
            return _nearest_of(fault["input"], [word.strip("' ") for word in re.split(",| or ", bounds["expected"])])
    return ""


def _nearest_of(given: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, 1, cutoff=0.5) if isinstance(given, str) and len(given) < 80 else []
    return f"; did you mean {near[0]}?" if near else ""


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    node: Any = next(model for model in _MODELS if model.model_fields["stage"].annotation.__args__[0] == location[0])
    for part in location[1:-1]:
        node = _SOURCES[str(part)] if part in _SOURCES else _fields_of(node).get(str(part))
    return sorted(_fields_of(node))


def _fields_of(node: Any) -> dict[str, Any]:
    """Return the keys of a section and their types; a plain value has none, a choice of sections those of all."""
    if is_dataclass(node):
        return {item.name: item.type for item in fields(node)}
    own = {name: item.annotation for name, item in getattr(node, "model_fields", {}).items()}
    for member in get_args(node):
        own |= _fields_of(member)
    return own


_SOURCES: dict[str, Any] = {"toy": ToyDataConfig, "media": MediaDataConfig}
_MODELS: tuple[Any, ...] = StageConfig.__args__
_STAGE_NAMES = frozenset(model.model_fields["stage"].annotation.__args__[0] for model in _MODELS)
