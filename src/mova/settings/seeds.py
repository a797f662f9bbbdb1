"""Which noise a clip is made from: a seed, and the clip's number among those of that seed (no torch here)."""

from __future__ import annotations

import hashlib
import operator
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final, SupportsIndex

from mova.errors import ConfigError
from mova.files.json_file import shorten

MAX_SEED: Final = 2**64 - 1
MAX_INDEX: Final = 2**31 - 1

Seeds = tuple[tuple[int, int], ...]
WholeNumbers = SupportsIndex | Sequence[SupportsIndex]


def check_seed(seed: object, name: str = "seed") -> int:
    """Return a seed as a plain int.

    Args:
        seed: 0 to `MAX_SEED`; NumPy's and torch's integers count as well, truth values do not.
        name: for the error.

    Raises:
        ConfigError: something else.
    """
    return whole_number(name, seed, 0, MAX_SEED)


def derived_seed(seed: int, *parts: object) -> int:
    """Return another seed that follows from a seed and from what it is for: the same on every machine.

    Other programs read numbers of JSON as floating point, which holds whole numbers up to 2**53: it is below.
    """
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 2**53


def check_index(index: object, name: str = "index") -> int:
    """Return the number of a clip among those of its seed as a plain int, 0 to `MAX_INDEX`; as `check_seed`."""
    return whole_number(name, index, 0, MAX_INDEX)


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """Return a whole number of any library as a plain int.

    Args:
        name: of the value, for the error.
        value: int, or an integer of NumPy or torch without dimensions.
        least, most: bounds, inclusive.

    Raises:
        ConfigError: another type, a truth value, or a number outside the bounds.
    """
    try:
        number = None if _is_no_number(value) else operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = None
    if number is None:
        kind = type(value).__name__
        raise ConfigError(f"{name} must be a whole number of {least} or more, got {shorten(value)} ({kind})")
    if not least <= number <= most:
        nearest = min(max(number, least), most)
        # A number of more than 4300 digits has no text in Python.
        shown = number if abs(number) < 10**40 else "one of more than 40 digits"
        rule = f"of {least} or more" if number < least else f"from {least} to {most}"
        raise ConfigError(f"{name} must be a whole number {rule}, got {shown}; nearest is {nearest}")
    return number


def sample_seeds(seed: object, batch_size: int, index: object = 0) -> Seeds:
    """Name the noise of each sample of a batch.

    Args:
        seed: one seed: sample i is number index + i of it. A sequence: one seed per sample. None: one is drawn.
        batch_size: B.
        index: number of the (first) sample among those of its seed; a sequence: one per sample.

    Returns:
        (seed, sample index) per sample: given again, one by one or together, they name the same noise.

    Raises:
        ConfigError: not whole numbers of 0 or more, or not one per sample.
    """
    if seed is None:
        seed = secrets.randbelow(2**32)
    if is_sequence(seed):
        seeds = _each("seed", seed, batch_size, check_seed)
        step = 0
    else:
        seeds, step = [check_seed(seed)] * batch_size, 1
    if is_sequence(index):
        indices = _each("index", index, batch_size, check_index)
    else:
        first = check_index(index)
        indices = [check_index(first + step * number) for number in range(batch_size)]
    return tuple(zip(seeds, indices, strict=True))


def is_sequence(value: object) -> bool:
    """Say whether a value holds several numbers: a list, a tuple, a range, or an array or tensor with a dimension."""
    if isinstance(value, (str, bytes)):
        return False
    dimensions = getattr(value, "ndim", None)
    return dimensions > 0 if isinstance(dimensions, int) else isinstance(value, Sequence)


def _each(name: str, values: Any, batch_size: int, check: Any) -> list[int]:
    if getattr(values, "ndim", 1) != 1 or len(values) != batch_size:
        found = tuple(values.shape) if hasattr(values, "shape") else len(values)
        raise ConfigError(f"{name} must be one number or one per clip ({batch_size}), got {found}")
    items: Iterable[object] = values
    return [check(item) for item in items]


def _is_no_number(value: object) -> bool:
    # Truth values are integers to Python and to torch; a tensor of one element in a row passes as an index.
    return (
        isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool") or bool(getattr(value, "ndim", 0))
    )
