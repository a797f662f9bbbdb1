"""Describe LoRAs and write them in the key styles of other tools; pickled ones become safetensors files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mova.errors import ConfigError
from mova.weights.files import read_header
from mova.weights.lora.adapters import UNNAMED, LoraSummary, summarise
from mova.weights.lora.file import WRITTEN_STYLES, is_lora, read_lora, write_lora
from mova.weights.lora.pickle_file import read_pickled_lora
from mova.weights.lora.source import find_lora, is_lora_folder, is_pickled


@dataclass(frozen=True)
class LoraReport:
    """What a LoRA file holds.

    Attributes:
        name: name of the file.
        style: style of its keys.
        components: what is adapted; the name is empty where the keys name no component.
        base_model: model that it was trained on; empty where the file does not say.
        strays: keys that are no part of an adapter.
    """

    name: str
    style: str
    components: dict[str, LoraSummary]
    base_model: str
    strays: tuple[str, ...]


def is_lora_file(path: Path) -> bool:
    """Tell whether a path is a file with adapters, or a folder with one, pickled ones included.

    Raises:
        CheckpointError: a file that is not a whole safetensors file.
    """
    if path.is_dir():
        return is_lora_folder(path)
    if not path.is_file() or path.suffix.lower() == ".gguf":
        return False
    return is_pickled(path) or is_lora(read_header(path))


def inspect_lora(path: Path) -> LoraReport:
    """Describe a LoRA from its tensors.

    Raises:
        CheckpointError: damaged, pickled, or half an adapter.
    """
    lora = read_lora(path)
    return LoraReport(
        name=lora.name,
        style=lora.style,
        components={component: summarise(lora, component) for component in lora.components},
        base_model=lora.origin.base_model,
        strays=lora.strays,
    )


def convert_lora(source: Path, target: Path, style: str | None = None, components: Sequence[str] = ()) -> list[Path]:
    """Write a LoRA in another key style, or a pickled one as a safetensors file.

    Args:
        source: a file or folder of any style that can be read. Of a pickled one only tensors are read; nothing runs.
        target: a safetensors file that must not exist yet. See `write_lora` for styles with one file per component.
        style: one of `WRITTEN_STYLES`; None takes mova, or comfyui where no component is named.
        components: components that a file is for whose keys name none.

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
    if style is not None and style not in WRITTEN_STYLES:
        raise ConfigError(f"lora format must be one of {', '.join(WRITTEN_STYLES)}; got {style!r}")
    lora = read_pickled_lora(source) if is_pickled(find_lora(source).weights) else read_lora(source)
    if components:
        lora = lora.assigned_to(components)
    return write_lora(lora, target, style or ("comfyui" if UNNAMED in lora.components else "mova"))
