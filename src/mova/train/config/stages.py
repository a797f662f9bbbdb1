"""Recipes of what comes before the towers and after them: encoders, latents, publishing, several stages."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mova.data.config import DataConfig, ToyDataConfig
from mova.data.known import FRAME_TASKS, FrameTask
from mova.device import Compute
from mova.files.json_file import field_kinds, shorten, shorten_text
from mova.recipe.base import MOST_SAMPLES, MOST_SCALE, NumFrames, Size, Strict, nearest_name
from mova.train.config.run import OptimizerConfig, RunConfig
from mova.weights.locate import ModelDefaults

_LARGEST_DEFAULT: Final = 1_000_000
_START = "new draws the component at random, model takes the recipe's own, anything else is a model that has it."


def _refuse_untrained_encoder(start: str, train_encoder: bool) -> None:
    if start == "new" and not train_encoder:
        raise ValueError("train_encoder must be true with start: new; a decoder alone is refined from start: model")


class StageBase(Strict):
    run: RunConfig
    optimizer: OptimizerConfig
    data: ToyDataConfig
    model: Path = Field(description="Directory in the published layout that the stages of a run fill, part by part.")


class TextEncoderConfig(StageBase):
    """A small UMT5 encoder and its tokenizer, trained to restore masked words of captions."""

    stage: Literal["text_encoder"]
    max_tokens: int = Field(96, ge=16, le=4096, description="Rows of a prompt embedding.")
    mask_share: float = Field(0.25, gt=0, lt=1)


class VideoAutoencoderConfig(StageBase):
    """The video autoencoder on crops that follow the moving object, then on full frames too."""

    stage: Literal["video_autoencoder"]
    crop: Size = Field(64, description="Height and width of a crop in pixels, at most the clips'.")
    crop_frames: NumFrames = Field(17, description="Frames of a crop, at most the clips'.")
    full_frame_from: float = Field(
        0.5, ge=0, le=1, description="Progress from which every second step sees full frames."
    )
    full_frame_batch: int = Field(8, ge=1, le=MOST_SAMPLES)
    images: int = Field(
        0,
        ge=0,
        le=MOST_SAMPLES,
        description="Whole single frames beside every batch of clips; a clip's first frame is learned from them.",
    )
    image_share: float = Field(0.3, ge=0, le=1, description="Share of the loss that images have, where there are any.")
    latent_noise: float = Field(
        0.1, ge=0, le=MOST_SCALE, description="Standard deviation of the noise that the decoder must bear."
    )
    latent_penalty: float = Field(1e-3, ge=0, le=MOST_SCALE, description="Weight of the mean square of the latents.")
    motion_weight: float = Field(
        8.0, ge=0, le=1e9, description="Extra weight of pixels that differ from the clip's median."
    )
    start: str = Field("new", description=_START)
    train_encoder: bool = Field(True, description="False refines the decoder only: existing latents stay valid.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, value, largest in (
            ("crop", self.crop, self.data.size),
            ("crop_frames", self.crop_frames, self.data.num_frames),
        ):
            if value > largest:
                raise ValueError(f"{name} must be at most {largest} as in data, got {value}")
        _refuse_untrained_encoder(self.start, self.train_encoder)
        return self


class AudioAutoencoderConfig(StageBase):
    """The audio autoencoder: waveform, spectra at several resolutions, and a small pull of the latents to zero."""

    stage: Literal["audio_autoencoder"]
    segment_steps: int = Field(50, ge=1, le=100_000, description="Latent steps per training segment.")
    latent_noise: float = Field(0.1, ge=0, le=MOST_SCALE)
    latent_penalty: float = Field(1e-3, ge=0, le=MOST_SCALE)
    waveform_weight: float = Field(1.0, ge=0, le=MOST_SCALE)
    start: str = Field("new", description=_START)
    train_encoder: bool = Field(True, description="False refines the decoder only: existing latents stay valid.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_untrained_encoder(self.start, self.train_encoder)
        return self


class LatentsConfig(Strict):
    """Encode every clip once: video, first-frame condition, audio, caption."""

    stage: Literal["latents"]
    data: DataConfig
    model: Path
    known: tuple[FrameTask, ...] = Field(
        (), max_length=len(FRAME_TASKS), description="Conditions of a later recipe, whose known frames are encoded too."
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute: Compute = Field(
        "auto",
        description="What the video autoencoder's products are computed in: auto takes bfloat16 on a GPU and on a CPU "
        "with AVX512-BF16 or AMX, else float32, and goes on in what the cache holds. bfloat16 changes latents by a "
        "twentieth of the noise that decoders learn to bear; latents of both lie apart in a cache.",
    )


def _check_defaults(values: Any) -> Any:
    known = sorted(item.name for item in fields(ModelDefaults))
    for name in sorted(map(str, set(values) - set(known))) if isinstance(values, dict) else ():
        raise ValueError(f"unknown key {shorten_text(name, 60)}{nearest_name(name, known)}")
    return values


def _check_ranges(defaults: ModelDefaults) -> ModelDefaults:
    """Refuse what a model cannot recommend, before it is written and cannot be loaded."""
    for name, kind in field_kinds(ModelDefaults).items():
        value = getattr(defaults, name)
        if kind is str or value is None:
            continue
        if kind is int or name in ("frame_rate", "video_shift", "audio_shift"):
            if not 0 < value <= _LARGEST_DEFAULT:
                raise ValueError(f"{name} must be above 0 and at most {_LARGEST_DEFAULT}, got {shorten(value)}")
        elif not 0 <= value <= _LARGEST_DEFAULT:
            raise ValueError(f"{name} must be from 0 to {_LARGEST_DEFAULT}, got {shorten(value)}")
    return defaults


class PublishConfig(Strict):
    """Gather the parts into one model directory in the published layout."""

    stage: Literal["publish"]
    model: Path
    destination: Path
    base: str | None = Field(None, description="Model that gives what the run did not make, such as encoders.")
    shift: float = Field(
        5.0, gt=0, le=MOST_SCALE, description="Shift of the sampling schedule, both modalities (release: 5)."
    )
    boundary_ratio: float = Field(0.9, gt=0, lt=1)
    max_shard_size: str = Field(
        "15MB", pattern=r"^[1-9]\d{0,5}(KB|MB|GB)$", description="Largest size of a weight file."
    )
    defaults: Annotated[ModelDefaults, BeforeValidator(_check_defaults), AfterValidator(_check_ranges)] = Field(
        description="What the model recommends, for mova_defaults.json."
    )


class LadderConfig(Strict):
    """A run of several stages, in order; a finished one is skipped."""

    stage: Literal["ladder"]
    recipes: tuple[str, ...] = Field(
        min_length=1, max_length=1000, description="Names of shipped recipes, or files, relative to this one."
    )
