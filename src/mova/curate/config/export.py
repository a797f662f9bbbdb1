"""Section `export` of a recipe: for whom the clips that are kept are written out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mova.data.config import FrameSize
from mova.recipe.base import MOST_WORKERS, NumFrames, Strict


class LatentsSection(Strict):
    """Clips and captions as a model's encoders see them, so that a training does not wait for them."""

    model: str = Field(
        description="Model whose encoders are used: a shipped one, a directory, or a hub id; the one to be trained."
    )
    cache: Path | None = Field(
        None,
        description="Folder of encoded clips, as `mova train --cache` takes it; by default `latents` in the export.",
    )
    sizes: tuple[FrameSize, ...] = Field(
        ("640x352", "352x640"), min_length=1, max_length=64, description="As data.sizes of the training."
    )
    num_frames: NumFrames = Field(193, description="As data.num_frames of the training.")
    validation_clips: int = Field(16, ge=2, le=10**6, description="As data.validation_clips of the training.")
    device: str = Field("auto", max_length=20, description="Where it is computed: cpu, cuda, cuda:1.")
    compute: Literal["auto", "float32", "bfloat16"] = Field("auto", description="As run.compute of the training.")
    workers: int = Field(0, ge=0, le=MOST_WORKERS, description="Decoding processes; 0 takes one per core.")


class ExportSection(Strict):
    """What is written of the clips that are kept and have a caption."""

    folder: Path | None = Field(None, description="Folder of the export; by default `export` in the output folder.")
    metadata: bool = Field(
        True, description="Write metadata.json, the official trainer's list of video_path and caption."
    )
    absolute_paths: bool = Field(
        False, description="Paths in metadata.json from the root of the file system; by default from its own folder."
    )
    shards: bool = Field(True, description="Write tar files in the layout of WebDataset, with clips and facts inside.")
    shard_mb: float = Field(
        1000.0, ge=0.1, le=100_000, description="Largest size of a tar file in MB; one clip is never split."
    )
    latents: LatentsSection | None = Field(None, description="Encode clips and captions too; needs shards.")

    @model_validator(mode="after")
    def _latents_are_of_shards(self) -> Self:
        if self.latents is not None and not self.shards:
            raise ValueError("latents are encoded from shards; set shards to true")
        return self
