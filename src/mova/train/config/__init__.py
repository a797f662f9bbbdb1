"""Recipes as strict pydantic models, and how they are read from YAML."""

from mova.data.config import ToyDataConfig
from mova.train.config.distill import DistillConfig
from mova.train.config.joint import (
    AdapterConfig,
    AdaptersConfig,
    AdapterStageConfig,
    AudioTowerConfig,
    JointConfig,
    JointObjectiveConfig,
    LoraConfig,
)
from mova.train.config.recipe import StageConfig, StepConfig, TrainedConfig, accepts, load_recipe
from mova.train.config.run import OptimizerConfig, RunConfig
from mova.train.config.stages import (
    AudioAutoencoderConfig,
    LadderConfig,
    LatentsConfig,
    PublishConfig,
    TextEncoderConfig,
    VideoAutoencoderConfig,
)

__all__ = [
    "AdapterConfig",
    "AdapterStageConfig",
    "AdaptersConfig",
    "AudioAutoencoderConfig",
    "AudioTowerConfig",
    "DistillConfig",
    "JointConfig",
    "JointObjectiveConfig",
    "LadderConfig",
    "LatentsConfig",
    "LoraConfig",
    "OptimizerConfig",
    "PublishConfig",
    "RunConfig",
    "StageConfig",
    "StepConfig",
    "TextEncoderConfig",
    "ToyDataConfig",
    "TrainedConfig",
    "VideoAutoencoderConfig",
    "accepts",
    "load_recipe",
]
