"""Sizes as people write them (no torch here)."""

from __future__ import annotations

import re

from mova.errors import ConfigError
from mova.files.json_file import shorten


def parse_size(text: str) -> tuple[int, int]:
    """Read a size written as WIDTHxHEIGHT.

    Returns:
        (width, height) in pixels.

    Raises:
        ConfigError: not of this form.
    """
    match = re.fullmatch(r"(\d{1,12})[xX×](\d{1,12})", text.strip())
    if match is None:
        raise ConfigError(f"size must read WIDTHxHEIGHT in pixels, got {shorten(text)}; for example 640x352")
    return int(match[1]), int(match[2])
