"""From a recipe's name or path to plain values with overrides applied, and from a model's faults to an error text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from mova.errors import ConfigError
from mova.files.json_file import shorten, shorten_text
from mova.recipe.base import nearest_name
from mova.recipe.locate import find_recipe, former_recipe
from mova.recipe.yaml_file import parse_yaml, read_yaml

if TYPE_CHECKING:
    from pydantic import ValidationError

Checked = TypeVar("Checked")
_MOST_FAULTS = 20
_MOST_NEIGHBOURS = 1000


@dataclass(frozen=True)
class Vocabulary:
    """What an error text needs to know of a recipe's kinds.

    Attributes:
        fields_at: keys that are known where a fault is; takes the fault's place.
        hidden: parts of a place that are no keys, such as the names of kinds.
        kinds: names of the kinds of recipes, by the key `stage`; empty where there is one kind.
    """

    fields_at: Callable[[tuple[int | str, ...]], Sequence[str]]
    hidden: Collection[str] = ()
    kinds: Sequence[str] = ()


def read_recipe(recipe: str | Path, verb: str, overrides: Sequence[str], needs: str) -> tuple[Path, dict[str, object]]:
    """Read a recipe and apply `key.sub=value` overrides.

    Args:
        recipe: name of a shipped one, or path of a YAML file; `mova.recipe.locate` has the rule.
        verb: command that runs it.
        overrides: `key.sub=value` texts.
        needs: keys that it must have, for the error text.

    Returns:
        Where it is, and what it says.

    Raises:
        ConfigError: an unknown name, a missing or unreadable file, or an override that is none.
    """
    path = find_recipe(recipe, verb)
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        if former := former_recipe(path, verb):
            raise ConfigError(f"there is no recipe at {path}{former}") from None
        there = {found.name: found for found in _neighbours(path)}
        near = difflib.get_close_matches(path.name, there, 1)
        hint = f"; did you mean {there[near[0]]}?" if near else ""
        raise ConfigError(f"there is no recipe at {path}{hint}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with {needs}, got {type(raw).__name__}")
    if strange := [key for key in raw if not isinstance(key, str)]:
        raise ConfigError(f"{path} must have texts as keys, got {shorten(strange[0])}")
    for text in overrides:
        _apply_override(raw, text)
    return path, raw


def load_checked(
    recipe: str | Path,
    verb: str,
    overrides: Sequence[str],
    *,
    needs: str,
    check: Callable[[object], Checked],
    vocabulary: Vocabulary,
) -> Checked:
    """Read a recipe, apply `key.sub=value` overrides, and see whether its keys and values fit.

    Args:
        recipe: name of a shipped one, or path of a YAML file; `mova.recipe.locate` has the rule.
        verb: command that runs it.
        overrides: `key.sub=value` texts.
        needs: keys that it must have, for the error text.
        check: makes a model of plain values, or raises pydantic's `ValidationError`.
        vocabulary: of the recipes of the verb.

    Raises:
        ConfigError: an unknown name, a missing or unreadable file, or keys and values that do not fit; every fault is
            listed.
    """
    from pydantic import ValidationError

    path, raw = read_recipe(recipe, verb, overrides, needs)
    try:
        return check(raw)
    except ValidationError as error:
        raise ConfigError(f"{path} does not fit:\n" + "\n".join(explain(error, vocabulary))) from error


def explain(error: ValidationError, vocabulary: Vocabulary) -> list[str]:
    """Return a line for each fault, the first few of very many: the rule, the value, and what is near it.

    Args:
        error: of a model that took a recipe.
        vocabulary: of the recipes of a verb.
    """
    lines = []
    faults = error.errors(include_url=False)
    for fault in faults[:_MOST_FAULTS]:
        named = [str(part) for part in fault["loc"] if part not in vocabulary.hidden]
        where = shorten_text(".".join(shorten_text(part, 60) for part in named))
        match fault["type"]:
            case "extra_forbidden":
                text = f"unknown key{nearest_name(str(fault['loc'][-1]), vocabulary.fields_at(fault['loc']))}"
            case "missing":
                text = "this key is needed"
            case "union_tag_not_found" | "union_tag_invalid":
                where, given = "stage", fault["input"].get("stage")
                known = sorted(vocabulary.kinds)
                text = f"must be one of {', '.join(known)}, got {shorten(given)}{_nearest_of(given, known)}"
            case "value_error" if isinstance(fault["input"], dict):
                text = _message(fault)
            case _:
                text = f"{_message(fault)}, got {shorten(fault['input'])}{_nearest(fault)}"
        lines.append(f"  {where}: {text}" if where else f"  {text}")
    if len(faults) > _MOST_FAULTS:
        lines.append(f"  and {len(faults) - _MOST_FAULTS} more")
    return lines


def fields_of(node: object) -> dict[str, object]:
    """Return the keys of a section and their types; a plain value has none, a choice of sections those of all."""
    if is_dataclass(node):
        return {item.name: item.type for item in fields(node)}
    own: dict[str, object] = {name: item.annotation for name, item in getattr(node, "model_fields", {}).items()}
    for member in get_args(node):
        own |= fields_of(member)
    return own


def _neighbours(path: Path) -> Iterable[Path]:
    """Yield recipes one folder below where one was looked for, then those beside it; not more than people keep."""
    for pattern in ("*/*.yaml", "*.yaml"):
        yield from islice(path.parent.glob(pattern), _MOST_NEIGHBOURS)


def _apply_override(raw: dict[str, object], text: str) -> None:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"an override must read key=value, got {shorten(text)}; for example run.max_steps=100")
    *parents, last = name.split(".")
    node: Any = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {shorten(text)}: {shorten_text(parent, 60)} is a value, not a section")
    node[last] = parse_yaml(value, f"the value of override {shorten(text)} is not YAML")


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
        case "literal_error" | "enum":
            return _nearest_of(fault["input"], [word.strip("' ") for word in re.split(",| or ", bounds["expected"])])
    return ""


def _nearest_of(given: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, 1, cutoff=0.5) if isinstance(given, str) and len(given) < 80 else []
    return f"; did you mean {near[0]}?" if near else ""
