"""Models that can be planned by name: dimensions and recommended settings, without their weights (no torch here)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mova.errors import CheckpointError
from mova.generate.dims import SHIPPED_MODELS, ModelDims, dims_from_configs, dims_from_directory
from mova.generate.locate import ModelDefaults, find_model, read_config_file, read_defaults
from mova.models.presets import mova_360p, mova_720p

_PRESETS = {"mova-360p": mova_360p, "mova-720p": mova_720p}
# What is known of these needs no download.
_HUB_IDS = {"OpenMOSS-Team/MOVA-360p": "mova-360p", "OpenMOSS-Team/MOVA-720p": "mova-720p"}
# Counted on the published key lists; a model directory is counted from its own weight files instead.
_FIXED_PARAMETERS = {"text_encoder": 5_680_910_336, "video_vae": 126_892_531, "audio_vae": 371_539_137}


def find_dims(model: str) -> ModelDims:
    """Return the dimensions of `mova-tiny` (as shipped), `mova-360p`, `mova-720p`, their hub ids or a model directory.

    Raises:
        CheckpointError: neither a known name nor such a directory.
    """
    model = _HUB_IDS.get(model, model)
    if model in _PRESETS:
        return dims_from_configs(model, _PRESETS[model](), _FIXED_PARAMETERS)
    return dims_from_directory(_find_folder(model))


def find_defaults(model: str) -> ModelDefaults:
    """Return the clip and the settings that a model recommends; names and errors as in `find_dims`."""
    model = _HUB_IDS.get(model, model)
    if model in _PRESETS:
        return ModelDefaults(height=720, width=1280) if model == "mova-720p" else ModelDefaults()
    return read_defaults(_find_folder(model))


def find_configs(model: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the published keys of each component's config.json, by folder; names and errors as in `find_dims`."""
    model = _HUB_IDS.get(model, model)
    if model in _PRESETS:
        return _PRESETS[model]()
    return {path.parent.name: read_config_file(path) for path in sorted(_find_folder(model).glob("*/config.json"))}


def _find_folder(model: str) -> Path:
    # A plan must not start a download, which is what `find_model` does with a hub id.
    if not (Path(model).is_dir() or (SHIPPED_MODELS / model).is_dir()):
        known = ", ".join(["mova-tiny", *_PRESETS])
        raise CheckpointError(f"model must be {known} or a model directory on this disk, got {model!r}")
    return find_model(model)
