"""JSON that strangers wrote: bounded in size and depth, typed on access, with file and key in every error."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from mova.errors import MovaError

MOST_BYTES = 64 * 2**20
"""Largest JSON file that is read unless the caller allows more; an index of the published models has 0.2 MB."""

_MISSING: Any = object()


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        # Python gives no text to a number of thousands of digits.
        return super().repr_int(x, level) if abs(x) < 10**60 else "a number of more than 60 digits"  # type: ignore[no-any-return]


_REPR = _Short()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother, _REPR.maxlong = 2, 60, 60, 30
_REPR.maxlist = _REPR.maxdict = 4


@dataclass(frozen=True)
class Fields:
    """A JSON object with where it stands; every getter checks the type of what it returns.

    Attributes:
        values: the object as parsed.
        where: file, and the key inside it, for error texts.
        error: class that is raised.
    """

    values: Mapping[str, Any]
    where: str
    error: type[MovaError]

    def __contains__(self, key: str) -> bool:
        """Say whether the object has a key."""
        return key in self.values

    def text(self, key: str, default: str = _MISSING) -> str:
        """Return a string."""
        value = self._get(key, default)
        return value if isinstance(value, str) else self._refuse(key, "text", value)

    def flag(self, key: str, default: bool = _MISSING) -> bool:
        """Return true or false."""
        value = self._get(key, default)
        return value if isinstance(value, bool) else self._refuse(key, "true or false", value)

    def integer(self, key: str, default: int = _MISSING, *, least: int | None = None, most: int | None = None) -> int:
        """Return a whole number inside a range; a whole float such as 3.0 counts."""
        value = self._get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self._refuse(key, "a whole number", value)
        return int(self._inside(key, value, least, most))

    def number(
        self, key: str, default: float = _MISSING, *, least: float | None = None, most: float | None = None
    ) -> float:
        """Return a finite number inside a range."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            self._refuse(key, "a finite number", value)
        return float(self._inside(key, value, least, most))

    def texts(self, key: str, default: list[str] = _MISSING) -> list[str]:
        """Return a list of strings."""
        values = self.list(key, default)
        for value in values:
            if not isinstance(value, str):
                self._refuse(key, "a list of texts", value)
        return values

    def numbers(self, key: str, default: list[float] = _MISSING) -> list[float]:
        """Return a list of finite numbers."""
        values = self.list(key, default)
        if not all(map(_is_number, values)):
            self._refuse(key, "a list of numbers", values)
        return [float(value) for value in values]

    def list(self, key: str, default: list[Any] = _MISSING) -> list[Any]:
        """Return a list of anything."""
        value = self._get(key, default)
        return value if isinstance(value, list) else self._refuse(key, "a list", value)

    def pair(self, key: str) -> tuple[float, float]:
        """Return two finite numbers."""
        values = self.list(key)
        if len(values) != 2 or not all(map(_is_number, values)):
            self._refuse(key, "two numbers", values)
        return float(values[0]), float(values[1])

    def of_kind(self, key: str, kind: type) -> Any:
        """Return a value of a kind that `field_kinds` names: a whole number, a number, a text or two numbers."""
        if kind is int:
            return self.integer(key)
        if kind is float:
            return self.number(key)
        return self.text(key) if kind is str else self.pair(key)

    def fields(self, key: str) -> Fields:
        """Return an object inside this one."""
        value = self._get(key, _MISSING)
        return as_fields(value, f"{self.where}: {key}", error=self.error)

    def _get(self, key: str, default: Any) -> Any:
        if key not in self.values:
            if default is _MISSING:
                known = ", ".join(sorted(map(shorten, list(self.values)[:20]))) or "none"
                raise self.error(f"{self.where} must have the key {key!r}; it has {known}")
            return default
        return self.values[key]

    def _inside(self, key: str, value: float, least: float | None, most: float | None) -> float:
        if (least is not None and value < least) or (most is not None and value > most):
            nearest = least if least is not None and value < least else most
            low, high = ("any" if bound is None else f"{bound:g}" for bound in (least, most))
            raise self.error(
                f"{self.where}: {key} must be from {low} to {high}, got {shorten(value)}; nearest is {nearest:g}"
            )
        return value

    def _refuse(self, key: str, rule: str, value: Any) -> Any:
        raise self.error(f"{self.where}: {key} must be {rule}, got {shorten(value)}")


def field_kinds(record_class: type) -> Mapping[str, type]:
    """Return the kind of value of each field of a dataclass: int, float, str or tuple, also where it may be None."""
    found: dict[str, type] = {}
    for name, hint in get_type_hints(record_class).items():
        (kind,) = [part for part in (get_args(hint) if NoneType in get_args(hint) else (hint,)) if part is not NoneType]
        found[name] = get_origin(kind) or kind
    return found


def read_object(path: Path, *, error: type[MovaError], most_bytes: int = MOST_BYTES) -> Fields:
    """Read a file that holds one JSON object.

    Args:
        path: of the file.
        error: class to raise.
        most_bytes: a larger file is refused before it is read.

    Raises:
        MovaError: of the class `error`: missing, too large, not JSON, or not an object.
    """
    return as_fields(read_json(path, error=error, most_bytes=most_bytes), str(path), error=error)


def as_fields(value: object, where: str, *, error: type[MovaError]) -> Fields:
    """Wrap a parsed value that must be an object.

    Raises:
        MovaError: of the class `error`: it is something else.
    """
    if not isinstance(value, dict):
        raise error(f"{where} must be a JSON object, got {shorten(value)}")
    return Fields(value, where, error)


def read_json(path: Path, *, error: type[MovaError], most_bytes: int = MOST_BYTES) -> Any:
    """Read a JSON file of any form; errors as of `read_object`. A byte order mark is skipped."""
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for its other end
            raise error(f"{path} must be a file, and is something else")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise error(f"{path} must exist, and does not") from None
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem}") from problem
    if len(content) > most_bytes:
        raise error(f"{path} must have at most {most_bytes} bytes, got more")
    return parse_json(content, str(path), error=error)


def parse_json(content: bytes | str, where: str, *, error: type[MovaError]) -> Any:
    """Parse JSON text in UTF-8 (with or without byte order mark).

    Args:
        content: the text.
        where: name of its place, for error texts.
        error: class to raise.

    Raises:
        MovaError: of the class `error`: not UTF-8, not JSON, or nested too deeply.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
        return json.loads(text)
    except UnicodeDecodeError as problem:
        raise error(f"{where} must be JSON in UTF-8; byte {problem.start} is not: save it as UTF-8") from problem
    except RecursionError as problem:
        raise error(f"{where} must be JSON of moderate depth, got nesting without end") from problem
    except ValueError as problem:
        raise error(f"{where} must be JSON: {shorten_text(str(problem))}") from problem


def shorten(value: object) -> str:
    """Return a value for an error text: at most some 200 characters, however large or nested it is."""
    return shorten_text(_REPR.repr(value))


def shorten_text(text: str, most: int = 200) -> str:
    """Cut a text of unknown length in its middle."""
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 4 :]} ({len(text)} characters)"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False
