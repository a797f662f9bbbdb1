"""LoRAs written as safetensors files, in our key style or in that of another tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import shorten_text
from mova.files.staging import give_usual_mode, staging_folder
from mova.names import COMPONENTS
from mova.weights.lora.adapters import UNNAMED, Lora, LoraLayer, summarise
from mova.weights.lora.source import base_name

WRITTEN_STYLES: Final = ("mova", "diffsynth", "comfyui")


def write_lora(lora: Lora, target: Path | str, style: str = "mova") -> list[Path]:
    """Write a LoRA; each file appears complete or not at all.

    Args:
        lora: with named components for style mova.
        target: the file; for a style that holds one component per file and a LoRA with several, the component's name
            is added to each file's.
        style: one of `WRITTEN_STYLES`. DiffSynth-Studio reads no alpha: there alpha / rank is multiplied into the up
            matrix.

    Returns:
        The files.

    Raises:
        ConfigError: another style, style mova and a LoRA that names no component, or a style that has no keys for
            DoRA's magnitudes or for whole differences.
        CheckpointError: keys that are no adapters would be lost, or the file cannot be written.
    """
    target = Path(target)
    if style not in WRITTEN_STYLES:
        raise ConfigError(f"lora format must be one of {', '.join(WRITTEN_STYLES)}; got {style!r}")
    if lora.strays:
        raise CheckpointError(
            f"{lora.name} holds {len(lora.strays)} keys that are no adapters and would be lost: "
            f"{', '.join(map(shorten_text, lora.strays[:10]))}"
        )
    if style == "mova":
        if UNNAMED in lora.components:
            raise ConfigError(
                f"the keys of {lora.name} name no component; say which: --component {' or '.join(COMPONENTS)}"
            )
        tensors = {
            f"{component}.{key}": value
            for component in lora.components
            for key, value in _tensors(lora, component, "lora_A", "lora_B").items()
        }
        return [_write(target, tensors, _metadata(lora))]
    written = []
    for component in lora.components:
        file = target if len(lora.components) == 1 else target.with_name(f"{target.stem}_{component}{target.suffix}")
        tensors = (
            {
                f"diffusion_model.{key}": value
                for key, value in _tensors(lora, component, "lora_down", "lora_up").items()
            }
            if style == "comfyui"
            else _diffsynth_tensors(lora, component)
        )
        written.append(_write(file, tensors, {"format": "pt"}))
    return written


def _tensors(lora: Lora, component: str, down: str, up: str) -> dict[str, torch.Tensor]:
    tensors = {}
    for path, layer in lora.layers.get(component, {}).items():
        tensors[f"{path}.{down}.weight"] = layer.down
        tensors[f"{path}.{up}.weight"] = layer.up
        tensors[f"{path}.alpha"] = _alpha(layer)
        if layer.magnitude is not None:
            tensors[f"{path}.dora_scale"] = layer.magnitude
    for key, value in lora.differences.get(component, {}).items():
        path, _, last = key.rpartition(".")
        tensors[f"{path}.{_DIFFERENCES[last]}" if last in _DIFFERENCES else f"{key}.diff"] = value
    return tensors


_DIFFERENCES: Final = {"weight": "diff", "bias": "diff_b", "modulation": "diff_m"}


def _alpha(layer: LoraLayer) -> torch.Tensor:
    """Return an alpha as stored: float32 where that is exact, else float64, so that it comes back as it was."""
    single = torch.tensor(layer.alpha)
    return single if float(single) == layer.alpha else torch.tensor(layer.alpha, dtype=torch.float64)


def _diffsynth_tensors(lora: Lora, component: str) -> dict[str, torch.Tensor]:
    layers = lora.layers.get(component, {})
    unwritten = [path for path, layer in layers.items() if layer.magnitude is not None]
    unwritten += list(lora.differences.get(component, {}))
    if unwritten:
        raise ConfigError(
            f"lora format diffsynth holds plain adapters only, and {lora.name} has DoRA magnitudes or whole "
            f"differences ({len(unwritten)}, first {unwritten[0]}); nearest is comfyui"
        )
    tensors = {}
    for path, layer in layers.items():
        factor = layer.alpha / layer.rank
        up = layer.up * factor
        # In half precision only a power of two leaves the numbers as they are.
        if not torch.equal(up.float(), layer.up.float() * factor):
            up = layer.up.float() * factor
        tensors[f"{path}.lora_A.default.weight"] = layer.down
        tensors[f"{path}.lora_B.default.weight"] = up
    return tensors


def _metadata(lora: Lora) -> dict[str, str]:
    summaries = {component: summarise(lora, component) for component in lora.components}
    return {
        "format": "pt",
        # A path says nothing on another machine, and too much of this one.
        "base_model": base_name(lora.origin.base_model),
        "base_md5": json.dumps(dict(lora.origin.base_md5)),
        "recipe_sha256": lora.origin.recipe_sha256,
        "rank": json.dumps({component: list(summary.ranks) for component, summary in summaries.items()}),
        "alpha": json.dumps({component: list(summary.alphas) for component, summary in summaries.items()}),
        "targets": json.dumps({component: list(summary.targets) for component, summary in summaries.items()}),
        **({"recommended": json.dumps(dict(lora.recommended))} if lora.recommended else {}),
    }


def _write(target: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> Path:
    # A copy of each: safetensors refuses tensors that share memory, as one adapter for two components does.
    stored = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    if not target.parent.is_dir():
        raise CheckpointError(f"{target} cannot be written: its folder must exist")
    try:
        with staging_folder(target, error=CheckpointError) as staging:
            partial = staging / target.name
            save_file(stored, partial, metadata=metadata)
            give_usual_mode(partial)
            partial.replace(target)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{target} cannot be written: {error}") from error
    return target
