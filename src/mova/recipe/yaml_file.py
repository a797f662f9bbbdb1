"""YAML that people write by hand, within bounds: a recipe is small, and a short text must not stand for a long one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from mova.errors import ConfigError
from mova.files.json_file import shorten, shorten_text

_MOST_BYTES: Final = 256 * 2**10
_MOST_VALUES: Final = 100_000
_MOST_DEPTH: Final = 40


def read_yaml(path: Path) -> object:
    """Read a YAML file; see `parse_yaml`.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: it cannot be read or parsed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a recipe: {error}") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"{path} must have at most {_MOST_BYTES} bytes, got more: it is no recipe")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read as a recipe: byte {error.start} is not UTF-8") from error
    return parse_yaml(text, f"{path} cannot be read as a recipe")


def parse_yaml(text: str, complaint: str) -> object:
    """Parse YAML into plain values that share nothing.

    Args:
        text: one document of plain values: no tags of Python, at most 100,000 values with all aliases written out, 40
            levels deep, no key twice, no NUL.
        complaint: beginning of an error text.

    Raises:
        ConfigError: it is something else.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is None:
            return None
        _Measure().size(root, 0)
        return _plain(yaml.load(text, yaml.SafeLoader))
    except RecursionError as error:
        raise ConfigError(f"{complaint}: it is nested too deeply, at most {_MOST_DEPTH} levels are read") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{complaint}: {shorten_text(str(error), 400)}") from error


class _Measure:
    """Counts what a document is with its aliases written out, each part once."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def size(self, node: yaml.Node, depth: int) -> int:
        """Return the number of values, 1 and what is inside.

        Raises:
            ValueError: too many, too deep, or a key twice.
        """
        if depth > _MOST_DEPTH:
            raise ValueError(f"it must have at most {_MOST_DEPTH} levels, got more")
        if id(node) in self._known:
            return self._known[id(node)]
        inside: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inside = node.value
        elif isinstance(node, yaml.MappingNode):
            _refuse_twice([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
            inside = [part for pair in node.value for part in pair]
        total = 1 + sum(self.size(part, depth + 1) for part in inside)
        if total > _MOST_VALUES:
            raise ValueError(f"it must have at most {_MOST_VALUES} values with its aliases written out, got more")
        self._known[id(node)] = total
        return total


def _refuse_twice(keys: list[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen and key != "<<":
            raise ValueError(f"the key {shorten(key)} is there twice")
        seen.add(key)


def _plain(value: Any) -> Any:
    """Return a copy in which nothing is shared: an override of one place must not reach another."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a text must not have the character NUL")
    return value
