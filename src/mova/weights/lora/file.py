"""LoRA files of every style: read into one form, with the strength that their makers gave them.

| style | keys | holds |
| --- | --- | --- |
| mova | `video_dit.blocks.0.self_attn.q.lora_A.weight`, `.lora_B.weight`, `.alpha` | any components |
| low_resource | `video_dit.blocks.0.self_attn.q.lora_A`, `.lora_B` (the official trainer for little memory) | any |
| diffsynth | `blocks.0.self_attn.q.lora_A.default.weight` | one component |
| comfyui | `diffusion_model.blocks.0.self_attn.q.lora_down.weight`, `.lora_up.weight`, `.alpha` | one component |
| kohya | `lora_unet_blocks_0_self_attn_q.lora_down.weight`, ... | one component |
| diffusers | `transformer.blocks.0.attn1.to_q.lora_A.weight`, `transformer_2. ...` | video towers |
| peft | `base_model.model.blocks.0.self_attn.q.lora_A.weight` | one component |

Beside the matrices there may be `.dora_scale` or `.lora_magnitude_vector`, and what is added to a whole tensor:
`.diff`, `.diff_b`, `.diff_m`. Keys are taken apart in `lora_keys`, alpha is settled in `lora_alpha`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from mova.errors import CheckpointError
from mova.files.json_file import Fields, as_fields, parse_json, shorten
from mova.weights.files import open_weights
from mova.weights.lora.adapters import UNNAMED, Lora, LoraLayer, LoraOrigin
from mova.weights.lora.alpha import AlphaSources, read_adapter_config
from mova.weights.lora.keys import LoraKey, is_lora, other_kind, parse_key, state_key
from mova.weights.lora.source import base_name, find_lora, refuse_pickle
from mova.weights.lora.write import WRITTEN_STYLES, write_lora

__all__ = ["WRITTEN_STYLES", "is_lora", "make_lora", "read_lora", "write_lora"]

_DTYPES: Final = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_PLAIN: Final = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_FLOAT8: Final = (torch.float8_e4m3fn, torch.float8_e5m2)
# kohya's marker of a file with scaled float8 tensors.
_MARKERS: Final = ("scaled_fp8",)


def read_lora(path: Path | str, weight_name: str | None = None) -> Lora:
    """Read a LoRA file of any known style, or a folder with one; whether it fits a model is for `fit_lora` to say.

    Args:
        path: the file or folder.
        weight_name: which file of the folder; see `find_lora`.

    Raises:
        CheckpointError: a missing, damaged or pickled file, no adapters in it, half an adapter, ranks or alphas that
            contradict each other, two tensors for one place, or a kind of adapter that is not read.
    """
    source = find_lora(Path(path), weight_name)
    refuse_pickle(source.weights)
    if not source.weights.is_file():
        raise CheckpointError(f"a LoRA must be a whole safetensors file, got {source.weights}, which is none")
    with open_weights(source.weights, device="cpu") as stored:
        for key, header in stored.header().items():
            _check_dtype(source.weights, key, header.dtype)
        tensors, metadata = {key: stored.tensor(key) for key in stored.keys}, stored.metadata
    config = None if source.config is None else read_adapter_config(source.config)
    return replace(make_lora(source.weights, tensors, metadata, config), name=source.name)


def make_lora(
    file: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str], config: Fields | None = None
) -> Lora:
    """Make a LoRA from the content of a file.

    Args:
        file: for errors and the name.
        tensors: tensors by key, of any style.
        metadata: metadata of the header.
        config: PEFT's settings.

    Raises:
        CheckpointError: as `read_lora`.
    """
    for key in tensors:
        if kind := other_kind(key):
            raise CheckpointError(
                f"{file} must hold LoRA or DoRA adapters or whole differences, got {shorten(key)} of a {kind} adapter, "
                "which is not read"
            )
    parsed = {key: parse_key(key) for key in tensors if key not in _MARKERS}
    strays = tuple(key for key, place in parsed.items() if place is None)
    places = {key: place for key, place in parsed.items() if place is not None}
    named = {place.component for place in places.values()}
    # One tower of Wan in diffusers' words may be for either expert; only a file with both says which is which.
    if "diffusers" in {place.style for place in places.values()} and named == {"video_dit"}:
        places = {key: replace(place, component=UNNAMED) for key, place in places.items()}
    if not any(place.part not in ("alpha", "down_scale", "up_scale") for place in places.values()):
        raise CheckpointError(f"{file} must hold adapters (lora_A, lora_B), got {len(tensors)} other tensors")
    parts = _grouped(file, places, tensors)
    alphas = AlphaSources(
        file,
        metadata,
        config,
        scopes={place.scope for place in places.values()},
        has_tensors=any(place.part == "alpha" for place in places.values()),
    )
    layers: dict[str, dict[str, LoraLayer]] = {}
    differences: dict[str, dict[str, torch.Tensor]] = {}
    for (component, path), found in parts.items():
        layer = _layer(file, path, found, alphas, len(parts))
        if layer is not None:
            layers.setdefault(component, {})[path] = layer
        for key, value in _differences(file, found, layer).items():
            differences.setdefault(component, {})[key] = value
    style = next(place.style for place in places.values() if place.part != "alpha")
    return Lora(
        layers=layers,
        origin=_read_origin(file, metadata, config),
        style=style,
        strays=strays,
        name=file.name,
        recommended=_read_recommended(file, metadata),
        differences=differences,
    )


_Parts = Mapping[str, tuple[LoraKey, torch.Tensor]]


def _grouped(
    file: Path, places: Mapping[str, LoraKey], tensors: Mapping[str, torch.Tensor]
) -> dict[tuple[str, str], dict[str, tuple[LoraKey, torch.Tensor]]]:
    """Return the tensors of each layer by what they are."""
    found: dict[tuple[str, str], dict[str, tuple[LoraKey, torch.Tensor]]] = {}
    for key, place in places.items():
        parts = found.setdefault((place.component, place.path), {})
        part = place.part.removesuffix("_rows")
        if part in parts:
            raise CheckpointError(f"{file} must hold one {part} matrix for {place.path}, got a second in {key!r}")
        parts[part] = (place, tensors[key])
    return found


def _layer(file: Path, path: str, parts: _Parts, alphas: AlphaSources, num_layers: int) -> LoraLayer | None:
    missing = [side for side in ("down", "up") if side not in parts]
    if len(missing) == 2 and not {"alpha", "magnitude", "up_bias", "down_scale", "up_scale"} & set(parts):
        return None
    if missing:
        raise CheckpointError(
            f"{file} must hold both matrices of {path}, the {' and the '.join(missing)} one is missing"
        )
    down, up = (_factor(file, path, parts, side) for side in ("down", "up"))
    is_convolution = down.ndim > 2 and up.ndim == down.ndim and set(up.shape[2:]) == {1}
    is_pair = down.ndim == up.ndim == 2 or is_convolution
    if not is_pair or not down.shape[0] or up.shape[1] != down.shape[0]:
        raise CheckpointError(
            f"{file} must hold (rank, in) and (out, rank) for {path}, got {list(down.shape)} and {list(up.shape)}"
        )
    key = parts["down"][0]
    tensor = parts["alpha"][1] if "alpha" in parts else None
    alpha = alphas.alpha(key, down.shape[0], tensor, num_layers)
    magnitude = _magnitude(file, path, parts, down, up)
    if magnitude is None and alphas.wants_dora(key):
        raise CheckpointError(f"{file} must hold a magnitude of {path}: use_dora is set in its settings")
    return LoraLayer(down=down, up=up, alpha=alpha, magnitude=magnitude)


def _magnitude(file: Path, path: str, parts: _Parts, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor | None:
    """Return DoRA's lengths as (out, 1, ...) or (1, in, ...)."""
    if "magnitude" not in parts:
        return None
    key, stored = parts["magnitude"]
    magnitude = _plain(file, key, stored)
    of_rows = (up.shape[0], *(1 for _ in down.shape[1:]))
    # PEFT's are those of rows, whatever their shape; LyCORIS' shape says what they are.
    if key.part == "magnitude_rows" or magnitude.ndim == 1:
        if magnitude.numel() != up.shape[0]:
            raise CheckpointError(
                f"{file} must hold {up.shape[0]} magnitudes for {path}, got shape {list(magnitude.shape)}"
            )
        return magnitude.reshape(of_rows)
    return magnitude


def _differences(file: Path, parts: _Parts, layer: LoraLayer | None) -> dict[str, torch.Tensor]:
    """Return what is added to whole tensors, by their names in the component."""
    found: dict[str, torch.Tensor] = {}
    for part in ("weight", "bias", "modulation"):
        if part in parts:
            key, tensor = parts[part]
            found[state_key(key)] = _plain(file, key, tensor)
    if "up_bias" in parts and layer is not None:
        key, tensor = parts["up_bias"]
        # PEFT scales what it adds to a bias as it does the update.
        added = (layer.alpha / layer.rank) * _plain(file, key, tensor).float()
        name = f"{key.path}.bias"
        found[name] = found[name] + added if name in found else added
    return found


def _factor(file: Path, path: str, parts: _Parts, side: str) -> torch.Tensor:
    key, stored = parts[side]
    matrix = _plain(file, key, stored)
    if f"{side}_scale" in parts:
        scale = _plain(file, *parts[f"{side}_scale"]).float()
        if scale.numel() != 1 and not (scale.shape[0] == scale.numel() == matrix.shape[0]):
            raise CheckpointError(
                f"{file} must hold one scale, or one for each row, of the {side} matrix of {path}, got shape "
                f"{list(scale.shape)}"
            )
        rows = (-1, *(1 for _ in matrix.shape[1:]))
        matrix = matrix.float() * (scale if scale.numel() == 1 else scale.reshape(rows))
    return matrix


def _plain(file: Path, key: LoraKey, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in a dtype that can be computed with: every float8 number is one of bfloat16."""
    if tensor.dtype not in _PLAIN and tensor.dtype not in _FLOAT8:
        raise CheckpointError(
            f"{file} must hold floating-point numbers for {key.path}, got {tensor.dtype} as {key.part}"
        )
    plain = tensor.to(torch.bfloat16) if tensor.dtype in _FLOAT8 else tensor
    if not plain.isfinite().all():
        raise CheckpointError(f"{file} must hold finite numbers, got NaN or infinity in {key.path}")
    return plain


def _check_dtype(file: Path, key: str, dtype: str) -> None:
    place = parse_key(key)
    if place is not None and place.part != "alpha" and dtype not in _DTYPES:
        raise CheckpointError(
            f"{file} must hold floating-point numbers ({', '.join(_DTYPES)}) for adapters, got {dtype} in {key!r}"
        )


def _read_origin(file: Path, metadata: Mapping[str, str], config: Fields | None) -> LoraOrigin:
    where = f"base_md5 in the metadata of {file}"
    found = as_fields(
        parse_json(metadata.get("base_md5") or "{}", where, error=CheckpointError), where, error=CheckpointError
    )
    base = metadata.get("base_model", "")
    if not base and config is not None and config.values.get("base_model_name_or_path") is not None:
        base = config.text("base_model_name_or_path")
    return LoraOrigin(
        base_model=base_name(base),
        base_md5={component: found.text(component) for component in found.values},
        recipe_sha256=metadata.get("recipe_sha256", ""),
    )


def _read_recommended(file: Path, metadata: Mapping[str, str]) -> dict[str, float | str]:
    where = f"recommended in the metadata of {file}"
    text = metadata.get("recommended") or "{}"
    found = as_fields(parse_json(text, where, error=CheckpointError), where, error=CheckpointError)
    for name, value in found.values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number and not isinstance(value, str):
            raise CheckpointError(f"{where}: {shorten(name)} must be a finite number or text, got {shorten(value)}")
    return dict(found.values)
