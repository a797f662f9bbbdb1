"""Values that several verbs read from the command line in the same way."""

from __future__ import annotations

import re

from mova.errors import ConfigError


def parse_size(text: str) -> tuple[int, int]:
    """Read a size written as WIDTHxHEIGHT.

    Returns:
        (width, height) in pixels.

    Raises:
        ConfigError: not of this form.
    """
    match = re.fullmatch(r"(\d+)[xX×](\d+)", text.strip())
    if match is None:
        raise ConfigError(f"size must read WIDTHxHEIGHT in pixels, got {text!r}; for example 640x352")
    return int(match[1]), int(match[2])
