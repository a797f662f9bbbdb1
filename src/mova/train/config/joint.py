"""Recipes of the towers and the bridge: the audio tower alone, the joint model, adapters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, create_model, model_validator

from mova.data.config import DataConfig
from mova.files.json_file import shorten, shorten_text
from mova.kernels.techniques import Technique, refusal
from mova.names import AUDIO_TOWER, BRIDGE, COMPONENTS, EXPERTS, Component, Expert
from mova.recipe.base import MOST_SCALE, Strict
from mova.train.config.conditions import ConditionsConfig
from mova.train.config.run import MemoryConfig, OptimizerConfig, ParallelConfig, RunConfig

_LARGEST_CHANGE: Final = 65_536
_MOST_LAYERS: Final = 1000


def _check_changes(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse sizes that no network has; of which kind a key is, its class knows."""
    for key, value in values.items():
        for number in value if isinstance(value, list) else [value]:
            is_number = isinstance(number, int | float)
            if is_number and not (math.isfinite(number) and abs(number) <= _LARGEST_CHANGE):
                raise ValueError(f"{shorten_text(key, 60)} must be at most {_LARGEST_CHANGE}, got {shorten(number)}")
            if not is_number and not isinstance(number, str):
                raise ValueError(f"{shorten_text(key, 60)} must be a number, a text or a list of them")
        if key == "num_layers" and isinstance(value, int) and value > _MOST_LAYERS:
            raise ValueError(f"num_layers must be at most {_MOST_LAYERS}, got {value}; nearest is {_MOST_LAYERS}")
    return values


if TYPE_CHECKING:
    # Fields by the names of the components, which have their one place in `mova.names`; read with `getattr`.
    class _Starts(Strict): ...

    class _Adapters(Strict): ...

else:
    _begins = {name: (str, "model" if name == AUDIO_TOWER else "new") for name in COMPONENTS}
    _Starts = create_model("_Starts", __base__=Strict, **_begins)


class StartConfig(_Starts):
    """Where each component begins.

    `new` draws it at random, `model` reads it from the recipe's model directory, as an earlier stage left it; anything
    else is a model (a shipped name, a directory, a hub id) or the directory of a component.
    """

    sizes: Literal["tiny", "mova_360p"] = Field(default="tiny", description="Sizes of what is new.")
    changes: dict[Component, Annotated[dict[str, Any], AfterValidator(_check_changes)]] = Field(
        default_factory=dict, description="Keys of config.json that differ from these sizes, by component."
    )


class ValidationConfig(Strict):
    """Clips that are made at every validation, as `mova generate` makes them."""

    clips: int = Field(default=0, ge=0, le=10_000, description="Number of clips; 0 makes none.")
    num_inference_steps: int = Field(default=20, ge=1, le=1000)
    guidance_scale: float = Field(default=2.0, ge=1, le=MOST_SCALE)
    modality_scale: float = Field(default=1.0, ge=0, le=MOST_SCALE)
    step_cache: float = Field(
        default=0.0,
        ge=0,
        le=MOST_SCALE,
        description="Relative change of the first video block below which the others repeat an earlier step; 0 is off.",
    )


class LatentStageBase(Strict):
    """What every stage on encoded clips has."""

    run: RunConfig
    optimizer: OptimizerConfig
    data: DataConfig
    model: Path = Field(description="Directory in the published layout that the stages of a run fill, part by part.")
    encoders: str | None = Field(
        None, description="Model whose autoencoders and text encoder are used; `model` if none."
    )
    online: bool = Field(False, description="Encode at every step instead of once; for comparing.")
    parallel: ParallelConfig = ParallelConfig()
    memory: MemoryConfig = MemoryConfig()
    distribution: Literal["uniform", "logit_normal"] = Field(
        "uniform", description="Distribution of the times (paper: uniform)."
    )
    weighting: Literal["none", "min_snr", "bell"] = Field(
        "none", description="Weight of the loss by noise level (paper: none; the released trainer: bell)."
    )
    min_snr_gamma: float = Field(5.0, gt=0, le=MOST_SCALE, description="Parameter of `weighting: min_snr`.")

    @model_validator(mode="after")
    def _check_batch(self) -> Self:
        self.run.dealt(self.parallel.data_parallel)
        return self

    @model_validator(mode="after")
    def _check_muon(self) -> Self:
        spread = self.parallel.world_size // self.parallel.replicate
        if self.optimizer.name == "muon" and spread > 1:
            raise ValueError(
                f"optimizer.name muon needs whole matrices, got parallel that spreads them over {spread} processes; "
                f"use adamw, or parallel.replicate={self.parallel.world_size} alone"
            )
        return self


def _refuse_with_sharding(memory: MemoryConfig, parallel: ParallelConfig) -> None:
    chosen = [
        f"memory.{name}"
        for name, technique in memory.techniques().items()
        if refusal(technique, Technique.SHARDED, training=True)
    ]
    if parallel.world_size > 1 and chosen:
        raise ValueError(
            f"{' and '.join(chosen)} {'are' if len(chosen) > 1 else 'is'} for one process, got "
            f"{parallel.world_size}; set parallel to 1"
        )


def _refuse_frozen_base(memory: MemoryConfig, stage: str) -> None:
    """Refuse, where weights of the base are trained, what only a frozen base can have."""
    if memory.base_quantization != "none":
        raise ValueError(
            f"memory.base_quantization is for a frozen base (stage lora), got {memory.base_quantization} in stage "
            f"{stage}; nearest is none"
        )
    if memory.stream_blocks:
        raise ValueError(
            f"memory.stream_blocks is for a frozen base (stage lora), got true in stage {stage}; nearest is "
            "parallel.shard, which spreads the weights over processes"
        )


class AudioTowerConfig(LatentStageBase):
    """The audio tower alone, from text to audio (paper 4.1)."""

    stage: Literal["audio_tower"]
    start: StartConfig = StartConfig.model_validate({AUDIO_TOWER: "new"})
    shift: float = Field(1.0, gt=0, le=MOST_SCALE)
    text_dropout: float = Field(0.15, ge=0, lt=1)

    @model_validator(mode="after")
    def _check_memory(self) -> Self:
        _refuse_frozen_base(self.memory, self.stage)
        return self


class JointObjectiveConfig(LatentStageBase):
    """How noise levels are drawn and what is left out, wherever both towers train together (paper 4.2)."""

    video_shift: float = Field(5.0, gt=0, le=MOST_SCALE)
    audio_shift: float = Field(1.0, gt=0, le=MOST_SCALE)
    audio_weight: float = Field(0.2, ge=0, le=MOST_SCALE, description="Weight of the audio loss (paper, table 7: 0.2).")
    text_dropout: float = Field(0.5, ge=0, lt=1)
    image_dropout: float = Field(0.0, ge=0, lt=1, description="Share of samples without a first frame.")
    conditions: ConditionsConfig = ConditionsConfig()
    bridge_dropout: float = Field(0.0, ge=0, le=1, description="Share of steps in which the towers run apart.")
    bridge_lr_scale: float = Field(
        2.0,
        gt=0,
        le=MOST_SCALE,
        description="Learning rate of the bridge, as a multiple of the base rate (paper, table 7: 2e-5 against 1e-5).",
    )
    boundary_ratio: float = Field(0.9, gt=0, lt=1)
    expert_cycle: tuple[Expert, ...] | Literal["by_noise"] = Field(
        tuple(EXPERTS),
        min_length=1,
        max_length=1000,
        description="Which expert each optimiser step trains, in turn; by_noise draws it by its share of noise levels.",
    )
    validation: ValidationConfig = ValidationConfig()
    independent_timesteps: bool = Field(True, description="Draw the noise levels of video and audio independently.")

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        self.conditions.check(self.image_dropout)
        return self


class JointConfig(JointObjectiveConfig):
    """Both towers and the bridge (paper 4.2): a phase of the paper, or a full fine-tuning."""

    stage: Literal["joint"]
    start: StartConfig = StartConfig()
    trainable: tuple[Component, ...] = Field(
        COMPONENTS,
        min_length=1,
        max_length=len(COMPONENTS),
        description="Components that learn; the others stay frozen.",
    )
    teacher: str | None = Field(
        None,
        description="Model whose velocities, given the first frame, are learned in place of the clip's where no other "
        "frame is known and nothing is held (prior preservation); a shipped name, a directory or a hub id.",
    )

    @model_validator(mode="after")
    def _check_teacher(self) -> Self:
        spread = self.parallel.world_size // self.parallel.replicate
        if self.teacher is not None and spread > 1:
            raise ValueError(
                f"teacher needs a whole model in each process, got parallel that spreads it over {spread} processes; "
                f"use parallel.replicate={self.parallel.world_size} alone"
            )
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        idle = [name for expert, name in EXPERTS.items() if name in self.trainable and expert not in self.turns]
        if idle:
            raise ValueError(f"expert_cycle must give every trainable expert a turn, got none for {', '.join(idle)}")
        if self.trainable == (BRIDGE,) and self.bridge_dropout:
            raise ValueError(f"bridge_dropout must be 0 where only the bridge is trained, got {self.bridge_dropout}")
        return self

    @model_validator(mode="after")
    def _check_memory(self) -> Self:
        _refuse_with_sharding(self.memory, self.parallel)
        if self.memory.one_expert:
            raise ValueError(
                "memory.one_expert moves frozen weights, so it is for stage lora; here experts are trained"
            )
        _refuse_frozen_base(self.memory, self.stage)
        return self

    @property
    def turns(self) -> tuple[Expert, ...]:
        """The experts that have a turn."""
        return tuple(EXPERTS) if self.expert_cycle == "by_noise" else self.expert_cycle


class AdapterConfig(Strict):
    """Adapters of one component."""

    rank: int = Field(default=16, ge=0, le=16_384, description="Rank of the adapters; 0 leaves the component as it is.")
    alpha: float = Field(default=16.0, gt=0, le=1e6, description="Scale of the update: it counts alpha / rank.")
    targets: tuple[str, ...] = Field(
        default=(),
        max_length=1000,
        description="Endings of the paths of linear layers, such as self_attn.q; empty takes all of `TARGETS`.",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout of what enters an adapter.")


if not TYPE_CHECKING:
    _chosen = {name: (AdapterConfig, AdapterConfig()) for name in COMPONENTS}
    _Adapters = create_model("_Adapters", __base__=Strict, **_chosen)


class AdaptersConfig(_Adapters):
    """Adapters of every component that can have them, by its name."""

    def chosen(self) -> dict[Component, AdapterConfig]:
        """Return the components that get adapters."""
        adapters: dict[Component, AdapterConfig] = {name: getattr(self, name) for name in COMPONENTS}
        return {name: adapter for name, adapter in adapters.items() if adapter.rank}


class AdapterStageConfig(JointObjectiveConfig):
    """What every stage has that trains adapters of a finished model; everything else is frozen."""

    base: str = Field("mova-tiny", description="Model to adapt: a shipped name, a directory or a hub id.")
    output: str = Field(
        "lora.safetensors", description="File in the directory `model`.", pattern=r"^[^/\\]+\.safetensors$"
    )
    adapters: AdaptersConfig = AdaptersConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_with_sharding(self.memory, self.parallel)
        rule = refusal(Technique.COMPILED, Technique.STREAMING, training=True)
        if rule and self.memory.stream_blocks and self.run.compile:
            raise ValueError(rule)
        return self


class LoraConfig(AdapterStageConfig):
    """Adapters that learn from clips (paper release: fine-tuning)."""

    stage: Literal["lora"]
