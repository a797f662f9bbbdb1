"""Recipes: one strict YAML file per run. Unknown keys are errors, all of them listed with the nearest known name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from mova.data.config import MediaDataConfig, ToyDataConfig
from mova.recipe.load import Vocabulary, fields_of, load_checked
from mova.train.config.distill import DistillConfig
from mova.train.config.joint import AudioTowerConfig, JointConfig, LoraConfig
from mova.train.config.stages import (
    AudioAutoencoderConfig,
    LadderConfig,
    LatentsConfig,
    PublishConfig,
    TextEncoderConfig,
    VideoAutoencoderConfig,
)

TrainedConfig = (
    TextEncoderConfig
    | VideoAutoencoderConfig
    | AudioAutoencoderConfig
    | AudioTowerConfig
    | JointConfig
    | LoraConfig
    | DistillConfig
)
StepConfig = TrainedConfig | LatentsConfig | PublishConfig
StageConfig = StepConfig | LadderConfig
_ADAPTER: TypeAdapter[StageConfig] = TypeAdapter(Annotated[StageConfig, Field(discriminator="stage")])


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> StageConfig:
    """Return a recipe with overrides applied; arguments and errors are those of `mova.recipe.load.load_checked`."""
    return load_checked(
        recipe,
        "train",
        overrides,
        needs="a key 'stage'",
        check=_ADAPTER.validate_python,
        vocabulary=_VOCABULARY,
    )


def accepts(config: StageConfig, override: str) -> bool:
    """Tell whether a recipe's kind has the key of a `key.sub=value` override."""
    node: Any = type(config)
    for part in override.partition("=")[0].split("."):
        known = fields_of(node)
        if part not in known:
            return False
        node = known[part]
    return True


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    node: Any = next(model for model in _MODELS if model.model_fields["stage"].annotation.__args__[0] == location[0])
    for part in location[1:-1]:
        node = _SOURCES[str(part)] if part in _SOURCES else fields_of(node).get(str(part))
    return sorted(fields_of(node))


_SOURCES: dict[str, Any] = {"toy": ToyDataConfig, "media": MediaDataConfig}
_MODELS: tuple[Any, ...] = StageConfig.__args__
_STAGE_NAMES = frozenset(model.model_fields["stage"].annotation.__args__[0] for model in _MODELS)
_VOCABULARY = Vocabulary(_fields_at, {*_STAGE_NAMES, *_SOURCES}, sorted(_STAGE_NAMES))
