"""Values of fields: forms send every value as a text, JSON sends any; both become what a field is of."""

from __future__ import annotations

import math
import re
from typing import Final

from mova.files.json_file import shorten
from mova.serve.faults import FieldError

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,25}(\.0{1,10})?")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,4})?")
_YES: Final = ("true", "1", "yes", "on")
_NO: Final = ("false", "0", "no", "off")


def text_of(name: str, value: object, *, most: int) -> str:
    """Return a text that can be kept: of whole characters, without NUL.

    Args:
        name: of the field.
        value: that was sent.
        most: characters at most.

    Raises:
        FieldError: something else.
    """
    if not isinstance(value, str):
        raise FieldError(f"{name} must be a text, got {shorten(value)}", name)
    if len(value) > most:
        raise FieldError(f"{name} must have at most {most} characters, got {len(value)}", name, code="too_long")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise FieldError(f"{name} must be of whole characters, got half of one at place {error.start}", name) from None
    if "\0" in value:
        raise FieldError(f"{name} must not have the character NUL, got it at place {value.index(chr(0))}", name)
    return value


def whole_of(name: str, value: object) -> int:
    """Return a whole number.

    Raises:
        FieldError: something else; 8.0 is one, in a text or not.
    """
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise FieldError(f"{name} must be a whole number, got {shorten(value)}", name)


def number_of(name: str, value: object) -> float:
    """Return a finite number.

    Raises:
        FieldError: something else.
    """
    found: float | None = None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        found = float(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            found = None
    if found is None or not math.isfinite(found):
        raise FieldError(f"{name} must be a finite number, got {shorten(value)}", name)
    return found


def flag_of(name: str, value: object) -> bool:
    """Return true or false.

    Raises:
        FieldError: something else.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in (*_YES, *_NO):
        return value.strip().lower() in _YES
    raise FieldError(f"{name} must be true or false, got {shorten(value)}", name)
