"""Recipes of the towers and the bridge: the audio tower alone, the joint model, adapters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mova.train.config.base import Strict
from mova.train.config.stages import StageBase


class AudioTowerConfig(StageBase):
    """The audio tower alone, from text to sound (paper 4.1)."""

    stage: Literal["audio_tower"]
    shift: float = Field(1.0, gt=0)
    text_dropout: float = Field(0.15, ge=0, lt=1)


class JointObjectiveConfig(StageBase):
    """How noise levels are drawn and what is left out, wherever both towers train together (paper 4.2)."""

    video_shift: float = Field(5.0, gt=0)
    audio_shift: float = Field(1.0, gt=0)
    audio_weight: float = Field(0.2, ge=0, description="Of the audio loss (paper, table 7: 0.2).")
    text_dropout: float = Field(0.5, ge=0, lt=1)
    image_dropout: float = Field(0.0, ge=0, lt=1, description="Share of samples without a first frame.")
    bridge_dropout: float = Field(0.0, ge=0, lt=1, description="Share of steps in which the towers run apart.")
    bridge_lr_scale: float = Field(2.0, gt=0, description="Of the base rate (paper, table 7: 2e-5 against 1e-5).")
    boundary_ratio: float = Field(0.9, gt=0, lt=1)
    expert_cycle: tuple[Literal["high_noise", "low_noise"], ...] = Field(
        ("high_noise", "low_noise"), description="Which expert each optimiser step trains, in turn."
    )
    independent_timesteps: bool = Field(True, description="Draw the noise levels of picture and sound independently.")


class JointConfig(JointObjectiveConfig):
    """Both towers and the bridge (paper 4.2)."""

    stage: Literal["joint"]
    start_from_audio_tower: bool = Field(True, description="Begin with the audio tower of the stage before.")


class AdapterConfig(Strict):
    """Adapters of one component."""

    rank: int = Field(default=16, ge=0, description="0 leaves the component as it is.")
    alpha: float = Field(default=16.0, gt=0, description="The update counts alpha / rank.")
    targets: tuple[str, ...] = Field(
        default=(),
        description="Endings of the paths of linear layers, such as self_attn.q; empty takes all of `TARGETS`.",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Of what enters an adapter.")


class AdaptersConfig(Strict):
    """Adapters of every component that can have them."""

    video_dit: AdapterConfig = AdapterConfig()
    video_dit_2: AdapterConfig = AdapterConfig()
    audio_dit: AdapterConfig = AdapterConfig()
    dual_tower_bridge: AdapterConfig = AdapterConfig()

    def chosen(self) -> dict[str, AdapterConfig]:
        """Return the components that get adapters."""
        return {name: adapter for name, adapter in self if adapter.rank}


class LoraConfig(JointObjectiveConfig):
    """Adapters of a trained model; everything else is frozen (paper release: fine-tuning)."""

    stage: Literal["lora"]
    base: str = Field("mova-tiny", description="Model to adapt: a shipped name, a directory or a hub id.")
    output: str = Field("lora.safetensors", description="File in the directory `model`.", pattern=r".+\.safetensors")
    adapters: AdaptersConfig = AdaptersConfig()
    validation_clips: int = Field(16, gt=1, description="Encoded besides the training clips.")
