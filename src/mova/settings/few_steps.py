"""Adapters that a model brings along for few steps without guidance, and their settings (no torch here)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import Fields, parse_json
from mova.names import FEW_STEPS_FILE
from mova.weights.files import open_weights
from mova.weights.locate import ModelDefaults, changed_defaults, shipped_models

DISTILLED: Final = "distilled"


def find_few_steps(model: str, folder: Path) -> Path:
    """Return the LoRA of a model that was distilled to few steps (`mova.train.stages.distill`).

    Args:
        model: what the model is called, for the error.
        folder: the model's directory; the LoRA lies beside its `model_index.json`.

    Raises:
        ConfigError: the model has none.
    """
    file = folder / FEW_STEPS_FILE
    if not file.is_file():
        known = ", ".join(shipped_models(FEW_STEPS_FILE)) or "none"
        raise ConfigError(
            f"speed {DISTILLED} is for models with a {FEW_STEPS_FILE} ({known}), got {model}; nearest is fastest"
        )
    return file


def read_recommended(file: Path) -> Mapping[str, object]:
    """Return the settings that a LoRA was made for, from the header of its file.

    Raises:
        CheckpointError: a damaged file, or one that recommends nothing.
    """
    with open_weights(file) as stored:
        text = stored.metadata.get("recommended") or "{}"
    found = parse_json(text, f"{file}: recommended", error=CheckpointError)
    if not found or not isinstance(found, dict):
        raise CheckpointError(f"{file} must say in its metadata which settings it is for ('recommended'), got none")
    return found


def with_recommended(defaults: ModelDefaults, recommended: Mapping[str, object], name: str) -> ModelDefaults:
    """Return a model's defaults in which what a LoRA recommends takes the place of what the model does.

    Args:
        defaults: of the model.
        recommended: of the LoRA.
        name: of the LoRA, for the error.

    Raises:
        CheckpointError: a setting that models do not recommend, or a value that it cannot have.
    """
    return changed_defaults(defaults, Fields(recommended, f"{name}: recommended", CheckpointError))
