"""LoRA files: ours, and the key styles of other tools, which are told apart by their keys.

| style | keys | holds |
| --- | --- | --- |
| mova | `video_dit.blocks.0.self_attn.q.lora_A.weight`, `.lora_B.weight`, `.alpha` | any components |
| diffsynth | `blocks.0.self_attn.q.lora_A.default.weight` (alpha is the rank) | one component |
| comfyui | `diffusion_model.blocks.0.self_attn.q.lora_down.weight`, `.lora_up.weight`, `.alpha` | one component |
| kohya | `lora_unet_blocks_0_self_attn_q.lora_down.weight`, ... | one tower; read only |
| diffusers | `transformer.blocks.0.attn1.to_q.lora_A.weight`, `transformer_2. ...` | video towers; read only |
| peft | `base_model.model.blocks.0.self_attn.q.lora_A.weight` | one component; read only |
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mova.errors import CheckpointError, ConfigError
from mova.models.lora import COMPONENTS, UNNAMED, Lora, LoraLayer, LoraOrigin, summarise

WRITTEN_STYLES: Final = ("mova", "diffsynth", "comfyui")
_PART = re.compile(r"(?P<path>.+)\.(?P<part>lora_A|lora_B|lora_down|lora_up)(\.(?P<adapter>[^.]+))?\.weight")
_SIDE = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up"}
_KOHYA = re.compile(r"blocks_(\d+)_(self_attn|cross_attn|ffn)_(q|k|v|o|0|2)")
_DIFFUSERS = (
    (re.compile(r"\.attn1\."), ".self_attn."),
    (re.compile(r"\.attn2\."), ".cross_attn."),
    (re.compile(r"\.to_([qkv])$"), r".\1"),
    (re.compile(r"\.to_out\.0$"), ".o"),
    (re.compile(r"\.ffn\.net\.0\.proj$"), ".ffn.0"),
    (re.compile(r"\.ffn\.net\.2$"), ".ffn.2"),
)


@dataclass(frozen=True)
class _Key:
    component: str
    path: str
    side: str  # down, up or alpha
    style: str


def is_lora(keys: Mapping[str, object]) -> bool:
    """Tell from the keys of a file whether it holds adapters rather than weights."""
    return any(_PART.fullmatch(key) for key in keys)


def read_lora(path: Path | str) -> Lora:
    """Read a LoRA file of any known style; whether it fits a model is for `fit_lora` to say.

    Raises:
        CheckpointError: a missing or damaged file, no adapters in it, half an adapter, ranks that contradict each
            other, or two tensors for one place.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as stored:
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
            metadata = stored.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"a LoRA must be a whole safetensors file, got {path}: {error}") from error
    parsed = {key: _parse(key) for key in tensors}
    strays = tuple(key for key, place in parsed.items() if place is None)
    places = {key: place for key, place in parsed.items() if place is not None}
    if not any(place.side != "alpha" for place in places.values()):
        raise CheckpointError(f"{path} must hold adapters (lora_A, lora_B), got {len(tensors)} other tensors")
    # One tower of Wan in diffusers' words may be for either expert; only a file with both says which is which.
    named = {place.component for place in places.values()}
    single = "diffusers" in {place.style for place in places.values()} and named == {"video_dit"}
    found: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    for key, place in places.items():
        sides = found.setdefault((UNNAMED if single else place.component, place.path), {})
        if place.side in sides:
            raise CheckpointError(f"{path} must hold one {place.side} matrix for {place.path}, got a second in {key!r}")
        sides[place.side] = tensors[key]
    layers: dict[str, dict[str, LoraLayer]] = {}
    for (component, layer_path), sides in found.items():
        layers.setdefault(component, {})[layer_path] = _layer(path, layer_path, sides)
    style = next(place.style for place in places.values() if place.side != "alpha")
    return Lora(
        layers=layers,
        origin=_read_origin(path, metadata),
        style=style,
        strays=strays,
        name=path.name,
        recommended=_read_recommended(path, metadata),
    )


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
        ConfigError: another style, or style mova and a LoRA that names no component.
        CheckpointError: keys that are no adapters would be lost, or the file cannot be written.
    """
    target = Path(target)
    if style not in WRITTEN_STYLES:
        raise ConfigError(f"lora format must be one of {', '.join(WRITTEN_STYLES)}; got {style!r}")
    if lora.strays:
        raise CheckpointError(
            f"{lora.name} holds {len(lora.strays)} keys that are no adapters and would be lost: "
            f"{', '.join(lora.strays[:10])}"
        )
    if style == "mova":
        if UNNAMED in lora.layers:
            raise ConfigError(
                f"the keys of {lora.name} name no component; say which: --component {' or '.join(COMPONENTS)}"
            )
        tensors = {
            f"{component}.{key}": value
            for component, layers in lora.layers.items()
            for key, value in _mova_tensors(layers).items()
        }
        return [_write(target, tensors, _metadata(lora))]
    encode = _comfyui_tensors if style == "comfyui" else _diffsynth_tensors
    written = []
    for component, layers in lora.layers.items():
        file = target if len(lora.layers) == 1 else target.with_name(f"{target.stem}_{component}{target.suffix}")
        written.append(_write(file, encode(layers), {"format": "pt"}))
    return written


def _parse(key: str) -> _Key | None:
    if match := _PART.fullmatch(key):
        path, side, adapter = match["path"], _SIDE[match["part"]], match["adapter"]
    elif key.endswith(".alpha"):
        path, side, adapter = key.removesuffix(".alpha"), "alpha", None
    else:
        return None
    if path.startswith("lora_unet_"):
        flat = _KOHYA.fullmatch(path.removeprefix("lora_unet_"))
        return _Key(UNNAMED, "blocks.{}.{}.{}".format(*flat.groups()), side, "kohya") if flat else None
    for component, prefix in (("video_dit", "transformer."), ("video_dit_2", "transformer_2.")):
        if path.startswith(prefix):
            path = path.removeprefix(prefix)
            for pattern, ours in _DIFFUSERS:
                path = pattern.sub(ours, path)
            return _Key(component, path, side, "diffusers")
    for style, prefix in (("comfyui", "diffusion_model."), ("peft", "base_model.model.")):
        if path.startswith(prefix):
            return _Key(UNNAMED, path.removeprefix(prefix), side, style)
    component, _, rest = path.removeprefix("pipe.").partition(".")
    # DiffSynth-Studio writes PEFT's adapter name into the keys; a file of its own may keep the component's too.
    style = "diffsynth" if adapter or path.startswith("pipe.") else "mova"
    if component in COMPONENTS:
        return _Key(component, rest, side, style)
    return _Key(UNNAMED, path, side, "diffsynth" if style == "diffsynth" else "plain")


def _layer(file: Path, path: str, sides: Mapping[str, torch.Tensor]) -> LoraLayer:
    missing = [side for side in ("down", "up") if side not in sides]
    if missing:
        raise CheckpointError(
            f"{file} must hold both matrices of {path}, the {' and the '.join(missing)} one is missing"
        )
    down, up = sides["down"], sides["up"]
    if down.ndim != 2 or up.ndim != 2 or not down.shape[0] or up.shape[1] != down.shape[0]:
        raise CheckpointError(
            f"{file} must hold (rank, in) and (out, rank) for {path}, got {list(down.shape)} and {list(up.shape)}"
        )
    alpha = float(sides["alpha"]) if "alpha" in sides and sides["alpha"].numel() == 1 else float(down.shape[0])
    if not math.isfinite(alpha) or not (down.isfinite().all() and up.isfinite().all()):
        raise CheckpointError(f"{file} must hold finite numbers, got NaN or infinity in {path}")
    return LoraLayer(down=down, up=up, alpha=alpha)


def _mova_tensors(layers: Mapping[str, LoraLayer]) -> dict[str, torch.Tensor]:
    tensors = {}
    for path, layer in layers.items():
        tensors[f"{path}.lora_A.weight"] = layer.down
        tensors[f"{path}.lora_B.weight"] = layer.up
        tensors[f"{path}.alpha"] = torch.tensor(layer.alpha)
    return tensors


def _comfyui_tensors(layers: Mapping[str, LoraLayer]) -> dict[str, torch.Tensor]:
    tensors = {}
    for path, layer in layers.items():
        tensors[f"diffusion_model.{path}.lora_down.weight"] = layer.down
        tensors[f"diffusion_model.{path}.lora_up.weight"] = layer.up
        tensors[f"diffusion_model.{path}.alpha"] = torch.tensor(layer.alpha)
    return tensors


def _diffsynth_tensors(layers: Mapping[str, LoraLayer]) -> dict[str, torch.Tensor]:
    tensors = {}
    for path, layer in layers.items():
        factor = layer.alpha / layer.rank
        tensors[f"{path}.lora_A.default.weight"] = layer.down
        tensors[f"{path}.lora_B.default.weight"] = layer.up if factor == 1 else layer.up * factor
    return tensors


def _metadata(lora: Lora) -> dict[str, str]:
    summaries = {component: summarise(layers) for component, layers in lora.layers.items()}
    return {
        "format": "pt",
        "base_model": lora.origin.base_model,
        "base_md5": json.dumps(dict(lora.origin.base_md5)),
        "recipe_sha256": lora.origin.recipe_sha256,
        "rank": json.dumps({component: list(summary.ranks) for component, summary in summaries.items()}),
        "alpha": json.dumps({component: list(summary.alphas) for component, summary in summaries.items()}),
        "targets": json.dumps({component: list(summary.targets) for component, summary in summaries.items()}),
        **({"recommended": json.dumps(dict(lora.recommended))} if lora.recommended else {}),
    }


def _read_origin(file: Path, metadata: Mapping[str, str]) -> LoraOrigin:
    try:
        base_md5 = json.loads(metadata.get("base_md5") or "{}")
        fingerprints = {str(component): str(md5) for component, md5 in base_md5.items()}
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"base_md5 in the metadata of {file} must be a JSON object: {error}") from error
    return LoraOrigin(
        base_model=metadata.get("base_model", ""),
        base_md5=fingerprints,
        recipe_sha256=metadata.get("recipe_sha256", ""),
    )


def _read_recommended(file: Path, metadata: Mapping[str, str]) -> dict[str, float | str]:
    try:
        values = json.loads(metadata.get("recommended") or "{}")
        return {str(name): value for name, value in values.items()}
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"recommended in the metadata of {file} must be a JSON object: {error}") from error


def _write(target: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> Path:
    # A copy of each: safetensors refuses tensors that share memory, as one adapter for two components does.
    stored = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as staging:
            partial = Path(staging, target.name)
            save_file(stored, partial, metadata=metadata)
            partial.chmod(0o644)  # temporary files are private
            partial.replace(target)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{target} cannot be written: {error}") from error
    return target
