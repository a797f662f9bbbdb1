"""Values that several verbs read from the command line in the same way."""

from __future__ import annotations

import re
from pathlib import Path

from mova.errors import ConfigError


def parse_lora(text: str) -> tuple[Path, float]:
    """Read a LoRA written as FILE or FILE:SCALE; without a scale it is 1.

    Raises:
        ConfigError: nothing before the scale.
    """
    match = re.fullmatch(r"(.*):([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf))", text.strip())
    name, scale = (match[1], float(match[2])) if match else (text.strip(), 1.0)
    if not name:
        raise ConfigError(f"a LoRA must read FILE or FILE:SCALE, got {text!r}; for example style.safetensors:0.8")
    return Path(name), scale
