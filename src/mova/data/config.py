"""Sections of a recipe that say what is learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from mova.files.json_file import shorten_text
from mova.recipe.base import MOST_WORKERS, NumFrames, Size, Strict, check_size
from mova.toyworld.mouth import SKIN_RGB
from mova.toyworld.scenes.registry import BASIC_KINDS, SCENES
from mova.toyworld.vocabulary import COLOURS

_LARGEST_SIDE: Final = 8192


class ToyDataConfig(Strict):
    """Clips of the toy world, rendered from their seeds."""

    source: Literal["toy"] = "toy"
    num_clips: int = Field(ge=1, le=10**8)
    validation_clips: int = Field(64, ge=2, le=10**6, description="Encoded besides, from seeds of their own.")
    size: Size = Field(128, description="Height and width in pixels, a multiple of 16.")
    num_frames: NumFrames = Field(49, description="1 plus a multiple of 4.")
    workers: int = Field(0, ge=0, le=MOST_WORKERS, description="Rendering processes; 0 takes one per core.")
    kinds: tuple[str, ...] = Field(
        BASIC_KINDS, min_length=1, max_length=1000, description="Scenes to draw from, equally often."
    )
    combinations: Literal["all", "training"] = Field(
        "all", description="training leaves out the combinations that are held out for measuring."
    )
    ranked_captions: bool = Field(
        default=True, description="Say the place of each thing in a row; the first mova-tiny was trained without."
    )
    paraphrases: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of clips whose caption says the same in other words; two wordings are kept out.",
    )
    notes: dict[str, str] = Field(
        default_factory=dict, description="Colour whose note a ball of each colour sounds; with kinds: [ball]."
    )
    skins: tuple[str, ...] = Field(
        (),
        max_length=1000,
        description="Skins of faces to draw from, one named twice twice as often; by default all, equally often.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        strange = sorted(set(self.kinds) - set(SCENES))
        if strange:
            raise ValueError(f"kinds must be of {', '.join(SCENES)}; got {_listed(strange)}")
        if self.notes and self.kinds != ("ball",):
            raise ValueError(
                f"notes can be exchanged for balls; with them kinds must be [ball], got {_listed(self.kinds)}"
            )
        unknown = sorted({*self.notes, *self.notes.values()} - set(COLOURS))
        if unknown:
            raise ValueError(f"notes must pair {', '.join(COLOURS)}; got {_listed(unknown)}")
        unknown = sorted(set(self.skins) - set(SKIN_RGB))
        if unknown:
            raise ValueError(f"skins must be of {', '.join(SKIN_RGB)}; got {_listed(unknown)}")
        return self


def _listed(names: Sequence[str]) -> str:
    return shorten_text(", ".join(names))


def _check_frame_size(text: str) -> str:
    width, _, height = text.partition("x")
    if not all(side.isascii() and side.isdigit() and len(side) <= 9 for side in (width, height)):
        raise ValueError("must be written WIDTHxHEIGHT in pixels, for example 640x352")
    for side in (int(width), int(height)):
        if not 16 <= side <= _LARGEST_SIDE:
            raise ValueError(
                f"must have sides of 16 to {_LARGEST_SIDE}; nearest is {min(max(side, 16), _LARGEST_SIDE)}"
            )
        check_size(side)
    return f"{int(width)}x{int(height)}"


FrameSize = Annotated[str, AfterValidator(_check_frame_size)]


class MediaDataConfig(Strict):
    """Clips in files: a `metadata.json` list of {video_path, caption}, or the shards that `mova curate` writes."""

    source: Literal["metadata", "shards"]
    path: Path = Field(description="The JSON file, or the folder of shards.")
    root: Path | None = Field(None, description="What paths in the JSON file start from; its own folder by default.")
    sizes: tuple[FrameSize, ...] = Field(
        ("640x352", "352x640"),
        min_length=1,
        max_length=64,
        description="Buckets, WIDTHxHEIGHT; a clip goes to the nearest aspect.",
    )
    num_frames: NumFrames = Field(193, description="1 plus a multiple of 4 (paper: 193).")
    frame_rate: float = Field(
        24.0, ge=1, le=240, description="Frames per second; clips are resampled by their time stamps."
    )
    min_frames: int = Field(
        25, ge=5, le=99_997, description="Shorter clips are skipped; those between are masked past their end."
    )
    num_clips: int | None = Field(None, ge=1, description="The first so many; all by default.")
    validation_clips: int = Field(16, ge=2, le=10**6, description="Kept out of training.")
    views: int = Field(1, ge=1, le=10_000, description="Random starts per clip, each encoded on its own.")
    require_sound: bool = Field(True, description="A clip without audio is skipped; false trains on its video.")
    require_picture: bool = Field(True, description="A clip without video is skipped; false admits audio files.")
    max_skipped_share: float = Field(0.05, ge=0, lt=1, description="More skipped clips than this stop the run.")
    loudness_lufs: float | None = Field(
        None,
        ge=-70,
        le=0,
        description="Loudness of every clip (ITU-R BS.1770); as recorded if not given.",
    )
    duration_token: bool = Field(False, description="Append the length in seconds to the caption (paper 4.1).")
    workers: int = Field(0, ge=0, le=MOST_WORKERS, description="Decoding processes; 0 takes one per core.")


def _source_of(value: Any) -> str:
    source = value.get("source", "toy") if isinstance(value, dict) else getattr(value, "source", "toy")
    return "media" if source in ("metadata", "shards") else "toy"


DataConfig = Annotated[
    Annotated[ToyDataConfig, Tag("toy")] | Annotated[MediaDataConfig, Tag("media")], Discriminator(_source_of)
]
