"""Section `cut` of a recipe: stage 1, from sources to clips of one length."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mova.curate.records import WindowKind
from mova.recipe.base import NumFrames, Size, Strict

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
]
SampleRate = Literal[16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]


class CutSection(Strict):
    """How clips are cut; the defaults are the paper's."""

    num_frames: NumFrames = Field(193, description="frames of a clip")
    frame_rate: float = Field(24.0, ge=1.0, le=120.0, description="frames per second of a clip")
    width: Size = Field(1280, description="pixels in a row of a clip whose content is wide; swapped where it is tall")
    height: Size = Field(720, description="pixels in a column of such a clip")
    fit: Literal["pad", "crop"] = Field("pad", description="bars around what does not fit, or its edges cut off")
    sample_rate: SampleRate = Field(48_000, description="samples per second of a clip's audio")
    channels: Literal[1, 2] = Field(2, description="channels of a clip's audio at most")
    without_audio: Literal["reject", "silence"] = Field(
        "reject", description="what becomes of a source without audio; silence is written on request"
    )
    kinds: tuple[WindowKind, ...] = Field(
        tuple(WindowKind), min_length=1, description="kinds of windows that are wanted; earlier ones take footage first"
    )
    guard_frames: int = Field(2, ge=0, le=48, description="frames beside a cut that clips of one scene leave alone")
    most_windows: int | None = Field(None, ge=1, le=10**6, description="clips of one source at most, spread over it")
    borders: bool = Field(True, description="whether black borders are cut off")
    shots: Literal["adaptive", "transnet", "none"] = Field(
        "adaptive", description="how cuts are found: PySceneDetect, TransNetV2 (extra `shots`), or not at all"
    )
    shot_threshold: float = Field(
        3.0, ge=1.0, le=100.0, description="how much more a cut changes than the frames beside it (adaptive)"
    )
    min_shot_frames: int = Field(12, ge=1, le=1000, description="frames between two cuts at least")
    speech: Literal["silero", "none"] = Field("silero", description="how speech is found, or not at all")
    speech_threshold: float = Field(0.5, gt=0.0, lt=1.0, description="probability from which on speech begins")
    min_speech_s: float = Field(0.25, ge=0.0, le=10.0, description="segments of speech that are shorter are left out")
    min_pause_s: float = Field(0.1, ge=0.0, le=10.0, description="pauses that are shorter belong to the speech")
    preset: Preset = Field("medium", description="how long x264 may search")
    crf: float = Field(18.0, ge=0.0, le=51.0, description="quality of the video, 0 (lossless) to 51")
    threads: int = Field(1, ge=1, le=16, description="threads of a decoder and an encoder; it decides over bits")
    audio_kbps: int = Field(160, ge=32, le=256, description="thousand bits per second and channel of AAC")
    limit_s: float = Field(
        300.0, ge=1.0, le=86_400.0, description="seconds after which work on a file is given up, whatever its length"
    )
    limit_factor: float = Field(
        20.0, ge=1.0, le=1000.0, description="seconds more for each second of footage; a busy machine needs more"
    )
    memory_mib: int = Field(2048, ge=256, le=65_536, description="memory that work on a file may take, in MiB")

    @field_validator("kinds")
    @classmethod
    def _once_each(cls, kinds: tuple[WindowKind, ...]) -> tuple[WindowKind, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("names a kind twice")
        return kinds

    @model_validator(mode="after")
    def _whole_samples(self) -> CutSection:
        if self.height > self.width:
            raise ValueError(
                f"width must be the longer side (tall content swaps them); nearest is {self.height}x{self.width}"
            )
        samples = self.num_frames * self.sample_rate / Fraction(self.frame_rate).limit_denominator(1_000_000)
        if not math.isclose(samples, round(samples), abs_tol=1e-6):
            raise ValueError(f"num_frames at frame_rate must be a whole number of samples, got {float(samples):g}")
        return self
