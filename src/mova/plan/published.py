"""Models that can be planned by name: dimensions and recommended settings, without their weights (no torch here)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import shorten
from mova.models.presets import mova_360p, mova_720p
from mova.settings.few_steps import DISTILLED, find_few_steps, read_recommended, with_recommended
from mova.weights.dims import ModelDims, dims_from_configs, dims_from_directory
from mova.weights.index import read_configs
from mova.weights.locate import (
    PUBLISHED_DEFAULTS,
    PUBLISHED_IDS,
    ModelDefaults,
    find_model,
    local_model,
    read_defaults,
    shipped_models,
)

_PRESETS = {"mova-360p": mova_360p, "mova-720p": mova_720p}
# What is known of these needs no download.
_HUB_IDS = {hub_id: hub_id.rpartition("/")[2].lower() for hub_id in PUBLISHED_IDS}
# Counted on the published key lists; a model directory is counted from its own weight files instead.
_FIXED_PARAMETERS = {"text_encoder": 5_680_910_336, "video_vae": 126_892_531, "audio_vae": 371_539_137}


def find_dims(model: str) -> ModelDims:
    """Return the dimensions of `mova-tiny` (as shipped), `mova-360p`, `mova-720p`, their hub ids or a model directory.

    Raises:
        CheckpointError: neither a known name nor such a directory.
    """
    model = _known(model)
    if model in _PRESETS:
        return dims_from_configs(model, _PRESETS[model](), _FIXED_PARAMETERS)
    dims = dims_from_directory(_find_folder(model))
    return dims if Path(model).is_dir() else replace(dims, name=model)


def find_defaults(model: str, speed: str = "exact") -> ModelDefaults:
    """Return the clip and the settings that a model recommends; names as in `find_dims`.

    Args:
        model: name or directory.
        speed: preset of `mova.settings.speed`; for "distilled" the settings of the model's adapters for few steps.

    Raises:
        CheckpointError: as `find_dims`.
        ConfigError: "distilled" for a model that has no such adapters.
    """
    known = _known(model)
    if speed == DISTILLED and known in _PRESETS:
        raise ConfigError(
            f"speed {DISTILLED} is for models with adapters for few steps, got {known}, which has none; "
            "nearest is fastest"
        )
    defaults = PUBLISHED_DEFAULTS[known] if known in _PRESETS else read_defaults(_find_folder(known), model)
    if speed != DISTILLED:
        return defaults
    few_steps = find_few_steps(known, _find_folder(known))
    return with_recommended(defaults, read_recommended(few_steps), few_steps.name)


def find_configs(model: str) -> Mapping[str, Mapping[str, object]]:
    """Return the published keys of each component's config.json, by folder; names and errors as in `find_dims`."""
    model = _known(model)
    if model in _PRESETS:
        return _PRESETS[model]()
    return read_configs(_find_folder(model))


def _known(model: str) -> str:
    """Return the name that a spelling stands for: "MOVA-360p", "mova_360p" and the hub id are "mova-360p"."""
    if model in _HUB_IDS or Path(model).is_dir():
        return _HUB_IDS.get(model, model)
    return {_letters(name): name for name in (*shipped_models(), *_PRESETS)}.get(_letters(model), model)


def _letters(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _find_folder(model: str) -> Path:
    # A plan must not start a download, which is what `find_model` does with a hub id.
    if local_model(model) is None:
        known = [*shipped_models(), *_PRESETS]
        nearest = difflib.get_close_matches(_letters(model), {_letters(name): name for name in known}, n=1, cutoff=0.0)
        name = next(name for name in known if _letters(name) == nearest[0])
        raise CheckpointError(
            f"model must be {', '.join(known)} or a model directory on this disk, got {shorten(model)}; "
            f"nearest is {name}"
        )
    return find_model(model)
