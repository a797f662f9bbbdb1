"""Recipes: one strict YAML file per run. Unknown keys are errors, all of them listed with the nearest known name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from mova.data.config import MediaDataConfig, ToyDataConfig
from mova.errors import ConfigError
from mova.recipe.load import Vocabulary, explain, fields_of, read_recipe
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
    """Read a recipe and apply `key.sub=value` overrides.

    Args:
        recipe: name of a shipped one, or path of a YAML file; `mova.recipe.locate` has the rule.
        overrides: `key.sub=value` texts.

    Raises:
        ConfigError: an unknown name, a missing or unreadable file, or keys and values that do not fit; every fault is
            listed.
    """
    path, raw = read_recipe(recipe, "train", overrides, "a key 'stage'")
    try:
        return _ADAPTER.validate_python(raw)
    except ValidationError as error:
        raise ConfigError(f"{path} does not fit:\n" + "\n".join(explain(error, _VOCABULARY))) from error


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
