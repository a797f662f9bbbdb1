"""Values that several verbs read from the command line in the same way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from mova.errors import ConfigError

CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        help="Compile the transformer blocks first: slower start, faster steps. By default on CUDA where the run is "
        "long enough to gain by it.",
    ),
]
PrecisionOption = Annotated[
    str, typer.Option(help="Precision: auto, float32 or bfloat16; auto is bfloat16 where that holds.")
]


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
