"""Recipes: one strict YAML file per run. Unknown keys are errors, all of them listed with the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from mova.errors import ConfigError
from mova.generate.locate import ModelDefaults
from mova.geometry import nearest_multiples


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RunConfig(_Strict):
    """How long, how often, where."""

    seed: int = Field(0, description="Every random draw of the run follows from it and the step.")
    max_steps: int = Field(gt=0, description="Optimiser steps.")
    max_minutes: float | None = Field(
        None, gt=0, description="Stop earlier after this much training time; the schedule follows whichever ends first."
    )
    batch_size: int = Field(gt=0, description="Samples per optimiser step.")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = Field(
        False, description="torch.compile of the repeated parts on a GPU; a CPU does without, where it does not pay."
    )
    log_every: int = Field(20, gt=0, description="Steps between lines in the log.")
    validate_every: int = Field(200, gt=0, description="Steps between validations; one more at the end.")
    checkpoint_every_s: float = Field(120.0, gt=0, description="Seconds between checkpoints; one more at the end.")
    keep_checkpoints: int = Field(2, gt=0)
    ema_decay: float = Field(0.999, ge=0, lt=1, description="0 switches the average off.")


class OptimizerConfig(_Strict):
    """The update rule and its schedule, counted in optimiser steps."""

    name: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(gt=0, description="Base rate of the towers (of the matrices, with Muon).")
    adamw_lr: float = Field(1e-3, gt=0, description="With Muon: the rate of everything that is not a matrix.")
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    warmup_steps: int = Field(50, ge=0)
    schedule: Literal["constant", "cosine", "warmup_stable_decay"] = "warmup_stable_decay"
    decay_share: float = Field(0.3, gt=0, le=1, description="Last share of the run in which the rate falls to zero.")


def _check_size(value: int) -> int:
    below, above = nearest_multiples(value, 16)
    if below != above:
        raise ValueError(f"must be a multiple of 16; nearest are {below} and {above}")
    return value


def _check_num_frames(value: int) -> int:
    below = (value - 1) // 4 * 4 + 1
    if value != below:
        raise ValueError(f"must be 1 plus a multiple of 4; nearest are {below} and {below + 4}")
    return value


Size = Annotated[int, Field(ge=16), AfterValidator(_check_size)]
NumFrames = Annotated[int, Field(ge=5), AfterValidator(_check_num_frames)]


class ToyDataConfig(_Strict):
    """Clips of the toy world, rendered once from their seeds into the run's folder."""

    num_clips: int = Field(gt=0)
    size: Size = Field(128, description="Height and width in pixels, a multiple of 16.")
    num_frames: NumFrames = Field(49, description="1 plus a multiple of 4.")
    workers: int = Field(0, ge=0, description="Rendering processes; 0 takes one per core.")


class _StageConfig(_Strict):
    run: RunConfig
    optimizer: OptimizerConfig
    data: ToyDataConfig
    model: Path = Field(description="Directory in the published layout that the ladder fills, part by part.")


class TextEncoderConfig(_StageConfig):
    """A small UMT5 encoder and its tokenizer, trained to restore masked words of captions."""

    stage: Literal["text_encoder"]
    max_tokens: int = Field(96, ge=16, description="Rows of a prompt embedding.")
    mask_share: float = Field(0.25, gt=0, lt=1)


class VideoAutoencoderConfig(_StageConfig):
    """The video autoencoder on crops that follow the moving object, then on full frames too."""

    stage: Literal["video_autoencoder"]
    crop: Size = Field(64, description="Height and width in pixels, at most the clips'.")
    crop_frames: NumFrames = Field(17, description="At most the clips'.")
    full_frame_from: float = Field(
        0.5, ge=0, le=1, description="Progress from which every second step sees full frames."
    )
    full_frame_batch: int = Field(8, gt=0)
    latent_noise: float = Field(0.1, ge=0, description="Standard deviation of the noise that the decoder must bear.")
    latent_penalty: float = Field(1e-3, ge=0, description="Weight of the mean square of the latents.")
    motion_weight: float = Field(8.0, ge=0, description="Extra weight of pixels that differ from the clip's median.")
    start: Literal["new", "existing"] = Field("new", description="Begin anew, or with the model directory's component.")
    train_encoder: bool = Field(True, description="False refines the decoder only: existing latents stay valid.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, value, largest in (
            ("crop", self.crop, self.data.size),
            ("crop_frames", self.crop_frames, self.data.num_frames),
        ):
            if value > largest:
                raise ValueError(f"{name} must be at most {largest} as in data, got {value}")
        if self.start == "new" and not self.train_encoder:
            raise ValueError("train_encoder must be true with start: new; the decoder alone is refined from existing")
        return self


class AudioAutoencoderConfig(_StageConfig):
    """The audio autoencoder: waveform, spectra at several resolutions, and a small pull of the latents to zero."""

    stage: Literal["audio_autoencoder"]
    segment_steps: int = Field(50, gt=0, description="Latent steps per training segment.")
    latent_noise: float = Field(0.1, ge=0)
    latent_penalty: float = Field(1e-3, ge=0)
    waveform_weight: float = Field(1.0, ge=0)
    train_encoder: bool = Field(True, description="False begins with the existing component, as for the picture.")


class LatentsConfig(_Strict):
    """Encode every clip once: video, first-frame condition, sound, caption."""

    stage: Literal["latents"]
    data: ToyDataConfig
    model: Path
    validation_clips: int = Field(128, gt=0)
    batch_size: int = Field(8, gt=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"


class AudioTowerConfig(_StageConfig):
    """The audio tower alone, from text to sound (paper 4.1)."""

    stage: Literal["audio_tower"]
    shift: float = Field(1.0, gt=0)
    text_dropout: float = Field(0.15, ge=0, lt=1)


class JointConfig(_StageConfig):
    """Both towers and the bridge (paper 4.2)."""

    stage: Literal["joint"]
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
    start_from_audio_tower: bool = Field(True, description="Begin with the audio tower of the stage before.")


def _check_defaults(values: Any) -> Any:
    known = sorted(item.name for item in fields(ModelDefaults))
    for name in sorted(set(values) - set(known)) if isinstance(values, dict) else ():
        raise ValueError(f"unknown key {name}{_nearest(str(name), known)}")
    return values


class PublishConfig(_Strict):
    """Gather the parts into one model directory in the published layout."""

    stage: Literal["publish"]
    model: Path
    destination: Path
    shift: float = Field(5.0, gt=0, description="Of the sampling schedule, both modalities (release: 5).")
    boundary_ratio: float = Field(0.9, gt=0, lt=1)
    max_shard_size: str = Field("15MB", description="Of a weight file.")
    defaults: Annotated[ModelDefaults, BeforeValidator(_check_defaults)] = Field(
        description="What the model recommends, for mova_defaults.json."
    )


class LadderConfig(_Strict):
    """Stages to run in order; a finished one is skipped."""

    stage: Literal["ladder"]
    recipes: tuple[str, ...] = Field(min_length=1, description="Recipe files, relative to this one.")


TrainedConfig = TextEncoderConfig | VideoAutoencoderConfig | AudioAutoencoderConfig | AudioTowerConfig | JointConfig
StepConfig = TrainedConfig | LatentsConfig | PublishConfig
StageConfig = StepConfig | LadderConfig
_ADAPTER: TypeAdapter[StageConfig] = TypeAdapter(Annotated[StageConfig, Field(discriminator="stage")])


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> StageConfig:
    """Read a recipe and apply `key.sub=value` overrides.

    Raises:
        ConfigError: a missing or unreadable file, or keys and values that do not fit; every fault is listed.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in _siblings(path)], 1)
        hint = f"; did you mean {path.with_name(near[0])}?" if near else ""
        raise ConfigError(f"there is no recipe at {path}{hint}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as a recipe: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with a key 'stage', got {type(raw).__name__}")
    for text in overrides:
        _apply_override(raw, text)
    try:
        return _ADAPTER.validate_python(raw)
    except ValidationError as error:
        raise ConfigError(f"{path} does not fit:\n" + "\n".join(_explain(error))) from error


def accepts(config: StageConfig, override: str) -> bool:
    """Tell whether a recipe's kind has the key of a `key.sub=value` override."""
    node: Any = type(config)
    for part in override.partition("=")[0].split("."):
        known = _fields_of(node)
        if part not in known:
            return False
        node = known[part]
    return True


def _siblings(path: Path) -> Iterable[Path]:
    return path.parent.glob("*.yaml") if path.parent.is_dir() else ()


def _apply_override(raw: dict[str, Any], text: str) -> None:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"an override must read key=value, got {text!r}; for example run.max_steps=100")
    *parents, last = name.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {text!r}: {parent} is a value, not a section")
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of override {text!r} is not YAML: {error}") from error


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"] if part not in _STAGE_NAMES)
        match fault["type"]:
            case "extra_forbidden":
                text = f"unknown key{_nearest(str(fault['loc'][-1]), _fields_at(fault['loc']))}"
            case "missing":
                text = "this key is needed"
            case "union_tag_not_found" | "union_tag_invalid":
                where, given = "stage", fault["input"].get("stage")
                text = f"must be one of {', '.join(sorted(_STAGE_NAMES))}, got {given!r}"
            case "value_error" if isinstance(fault["input"], dict):
                text = fault["msg"].removeprefix("Value error, ")
            case _:
                text = f"{fault['msg'].removeprefix('Value error, ')}, got {fault['input']!r}"
        lines.append(f"  {where}: {text}" if where else f"  {text}")
    return lines


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    node: Any = next(model for model in _MODELS if model.model_fields["stage"].annotation.__args__[0] == location[0])
    for part in location[1:-1]:
        node = _fields_of(node)[str(part)]
    return sorted(_fields_of(node))


def _fields_of(node: Any) -> dict[str, Any]:
    """Return the keys of a section and their types; a plain value has none."""
    if is_dataclass(node):
        return {item.name: item.type for item in fields(node)}
    return {name: item.annotation for name, item in getattr(node, "model_fields", {}).items()}


_MODELS: tuple[Any, ...] = StageConfig.__args__
_STAGE_NAMES = frozenset(model.model_fields["stage"].annotation.__args__[0] for model in _MODELS)
