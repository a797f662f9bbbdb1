"""Recipes of what comes before the towers and after them: encoders, latents, publishing, ladders."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mova.generate.locate import ModelDefaults
from mova.train.config.base import NumFrames, Size, Strict, nearest_name
from mova.train.config.data import DataConfig, ToyDataConfig
from mova.train.config.run import Compute, OptimizerConfig, RunConfig

_START = "new draws the component at random, model takes the recipe's own, anything else is a model that has it."


def _refuse_untrained_encoder(start: str, train_encoder: bool) -> None:
    if start == "new" and not train_encoder:
        raise ValueError("train_encoder must be true with start: new; a decoder alone is refined from start: model")


class StageBase(Strict):
    run: RunConfig
    optimizer: OptimizerConfig
    data: ToyDataConfig
    model: Path = Field(description="Directory in the published layout that the ladder fills, part by part.")


class TextEncoderConfig(StageBase):
    """A small UMT5 encoder and its tokenizer, trained to restore masked words of captions."""

    stage: Literal["text_encoder"]
    max_tokens: int = Field(96, ge=16, description="Rows of a prompt embedding.")
    mask_share: float = Field(0.25, gt=0, lt=1)


class VideoAutoencoderConfig(StageBase):
    """The video autoencoder on crops that follow the moving object, then on full frames too."""

    stage: Literal["video_autoencoder"]
    crop: Size = Field(64, description="Height and width in pixels, at most the clips'.")
    crop_frames: NumFrames = Field(17, description="At most the clips'.")
    full_frame_from: float = Field(
        0.5, ge=0, le=1, description="Progress from which every second step sees full frames."
    )
    full_frame_batch: int = Field(8, gt=0)
    images: int = Field(
        0,
        ge=0,
        description="Whole single frames beside every batch of clips; a clip's first frame is learned from them.",
    )
    image_share: float = Field(0.3, ge=0, le=1, description="Of the loss, where there are images.")
    latent_noise: float = Field(0.1, ge=0, description="Standard deviation of the noise that the decoder must bear.")
    latent_penalty: float = Field(1e-3, ge=0, description="Weight of the mean square of the latents.")
    motion_weight: float = Field(8.0, ge=0, description="Extra weight of pixels that differ from the clip's median.")
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
    segment_steps: int = Field(50, gt=0, description="Latent steps per training segment.")
    latent_noise: float = Field(0.1, ge=0)
    latent_penalty: float = Field(1e-3, ge=0)
    waveform_weight: float = Field(1.0, ge=0)
    start: str = Field("new", description=_START)
    train_encoder: bool = Field(True, description="False refines the decoder only: existing latents stay valid.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_untrained_encoder(self.start, self.train_encoder)
        return self


class LatentsConfig(Strict):
    """Encode every clip once: video, first-frame condition, sound, caption."""

    stage: Literal["latents"]
    data: DataConfig
    model: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute: Compute = Field(
        "auto",
        description="What the video autoencoder's products are computed in, as run.compute; bfloat16 changes latents "
        "by a twentieth of the noise that decoders learn to bear.",
    )


def _check_defaults(values: Any) -> Any:
    known = sorted(item.name for item in fields(ModelDefaults))
    for name in sorted(set(values) - set(known)) if isinstance(values, dict) else ():
        raise ValueError(f"unknown key {name}{nearest_name(str(name), known)}")
    return values


class PublishConfig(Strict):
    """Gather the parts into one model directory in the published layout."""

    stage: Literal["publish"]
    model: Path
    destination: Path
    base: str | None = Field(None, description="Model that gives what the run did not make, such as encoders.")
    shift: float = Field(5.0, gt=0, description="Of the sampling schedule, both modalities (release: 5).")
    boundary_ratio: float = Field(0.9, gt=0, lt=1)
    max_shard_size: str = Field("15MB", description="Of a weight file.")
    defaults: Annotated[ModelDefaults, BeforeValidator(_check_defaults)] = Field(
        description="What the model recommends, for mova_defaults.json."
    )


class LadderConfig(Strict):
    """Stages to run in order; a finished one is skipped."""

    stage: Literal["ladder"]
    recipes: tuple[str, ...] = Field(min_length=1, description="Recipe files, relative to this one.")
