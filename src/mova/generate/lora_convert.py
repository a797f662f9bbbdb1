"""Describe LoRA files and write them in the key styles of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mova.errors import ConfigError
from mova.generate.headers import read_header
from mova.models.lora import LoraSummary, summarise
from mova.models.lora_file import is_lora, read_lora, write_lora


@dataclass(frozen=True)
class LoraReport:
    """What a LoRA file holds.

    Attributes:
        name: of the file.
        style: of its keys.
        components: what is adapted; the name is empty where the keys name no component.
        base_model: that it was trained on; empty where the file does not say.
        strays: keys that are no part of an adapter.
    """

    name: str
    style: str
    components: dict[str, LoraSummary]
    base_model: str
    strays: tuple[str, ...]


def is_lora_file(path: Path) -> bool:
    """Tell whether a path is a file with adapters.

    Raises:
        CheckpointError: a file that is not a whole safetensors file.
    """
    return path.is_file() and is_lora(read_header(path))


def inspect_lora(path: Path) -> LoraReport:
    """Describe a LoRA file from its tensors.

    Raises:
        CheckpointError: damaged, or half an adapter.
    """
    lora = read_lora(path)
    return LoraReport(
        name=lora.name,
        style=lora.style,
        components={component: summarise(layers) for component, layers in lora.layers.items()},
        base_model=lora.origin.base_model,
        strays=lora.strays,
    )


def convert_lora(source: Path, target: Path, style: str, components: Sequence[str] = ()) -> list[Path]:
    """Write a LoRA in another key style.

    Args:
        source: of any style that can be read.
        target: a safetensors file that must not exist yet. See `write_lora` for styles with one file per component.
        style: one of `WRITTEN_STYLES`.
        components: that a file is for whose keys name none.

    Returns:
        The files.

    Raises:
        ConfigError: a target that exists or has another ending, an unknown style or component.
        CheckpointError: a source that cannot be read, or that holds more than adapters.
    """
    if target.suffix != ".safetensors":
        raise ConfigError(f"the target of a LoRA must end in .safetensors, got {target}")
    if target.exists():
        raise ConfigError(f"the target must not exist yet, got {target}")
    lora = read_lora(source)
    if components:
        lora = lora.assigned_to(components)
    return write_lora(lora, target, style)
