"""Fields of a request that say something of moments of a clip: images, and prompts that hold from there on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mova.errors import ConfigError
from mova.files.json_file import parse_json, shorten
from mova.serve.faults import FieldError
from mova.serve.intake.fields import number_of, text_of
from mova.serve.intake.sources import Source, source_of
from mova.serve.jobs.records import KEYFRAMES

MOST_PROMPTS: Final = 64
"""Prompts along a clip."""


def read_keyframes(value: object) -> tuple[tuple[float, Source], ...]:
    """Return images and their times in seconds, in the order of the times.

    Args:
        value: a list of objects with `time` and `image`, as JSON or as its text; of a form also images by their times.

    Raises:
        FieldError: something else, or more than there may be.
    """
    pairs = _pairs("keyframes", value, "image", most=len(KEYFRAMES))
    found = [
        (number_of("keyframes", time), source_of("keyframes", image, usual_part="first_frame")) for time, image in pairs
    ]
    return tuple(sorted(found, key=lambda one: one[0]))


def read_prompts(value: object, most_chars: int) -> tuple[tuple[float, str], ...]:
    """Return prompts and the seconds from which on they hold, in the order of the times.

    Args:
        value: a list of objects with `time` and `prompt`, as JSON or as its text; of a form also texts by their times.
        most_chars: of one prompt.

    Raises:
        FieldError: something else, or more than there may be.
    """
    pairs = _pairs("prompt_at", value, "prompt", most=MOST_PROMPTS)
    found = [(number_of("prompt_at", time), text_of("prompt_at", text, most=most_chars)) for time, text in pairs]
    return tuple(sorted(found, key=lambda one: one[0]))


def _pairs(name: str, value: object, key: str, *, most: int) -> list[tuple[object, object]]:
    if isinstance(value, str):
        try:
            value = parse_json(value, name, error=ConfigError)
        except ConfigError as error:
            raise FieldError(str(error), name) from None
    rule = f'{name} must be a list of objects {{"time": seconds, "{key}": ...}}'
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = []
        for one in value:
            if not isinstance(one, dict) or set(one) != {"time", key}:
                raise FieldError(f"{rule}, got {shorten(one)} in it", name)
            pairs.append((one["time"], one[key]))
    else:
        raise FieldError(f"{rule}, got {shorten(value)}", name)
    if len(pairs) > most:
        raise FieldError(f"{name} must be at most {most}, got {len(pairs)}; nearest is {most}", name)
    return pairs
