"""What is to be generated, checked before anything heavy is imported or loaded (no torch here)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from mova.checks import check_choice
from mova.conditioning.spec import ALL, Conditions, Modality, Placed
from mova.errors import ConfigError, ReadError
from mova.files.json_file import shorten
from mova.generate.enhance.enhanced import EnhancementRecord
from mova.generate.given import KeyframeFile, Retake, check_keyframe_files, kept_spans
from mova.generate.long.choice import LongChoice
from mova.media.frames import FITS, Fit
from mova.settings.sampling import NOTHING_GIVEN, GivenSettings, SamplingSettings
from mova.settings.scope import Scope
from mova.settings.seeds import check_index, check_seed
from mova.weights.lora.source import find_lora, refuse_pickle, shipped_loras

RETRIES: Final = 2
MOST_RETRIES: Final = 100


@dataclass(frozen=True)
class LoraChoice:
    """A LoRA to generate with.

    Attributes:
        path: a safetensors file, or a folder with one; `parse_lora` knows the names of shipped ones.
        scale: 1 is as trained, 0 is without effect.

    Raises:
        ConfigError, ReadError, CheckpointError: a scale that is not finite, a file that does not exist or is pickled.
    """

    path: Path
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (self.path.is_file() or self.path.is_dir()):
            raise ReadError(
                f"lora must be a file that exists, got {self.path}; write FILE or FILE:SCALE, or the name of one that "
                f"comes with mova ({', '.join(shipped_loras())})"
            )
        refuse_pickle(find_lora(self.path).weights)
        if not math.isfinite(self.scale):
            raise ConfigError(f"scale of a LoRA must be a finite number, got {self.scale}; nearest is 1.0")


@dataclass(frozen=True, kw_only=True)
class MediaFiles:
    """Files that a clip is made from: its first and last frame, its whole video or its audio; None is not given."""

    image: Path | None = None
    last_image: Path | None = None
    video: Path | None = None
    audio: Path | None = None

    def given(self) -> dict[str, Path]:
        """Return the files that are given, by field."""
        return {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) is not None}

    def over(self, other: MediaFiles) -> MediaFiles:
        """Return these files, and in place of what is not given here that of `other`."""
        return MediaFiles(**{**other.given(), **self.given()})


NO_FILES: Final = MediaFiles()


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """What is asked of one clip, as far as it is given: None is left to what stands behind it, in the end the model.

    Attributes:
        prompt, negative_prompt, seed, index, start_s, retries, long: see `GenerateRequest`.
        files: that it is made from.
        keyframes: images at moments.
        retakes: spans of the given video, and of its audio, that are made anew.
        only: the one modality that is asked for.
        fit: what is done with media of another shape or length.
        settings: sampling settings.
        output: plain name of its file, beside that of the command.
        enhancement: how the prompt came from what the user wrote.
    """

    prompt: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    index: int | None = None
    start_s: float | None = None
    retries: int | None = None
    long: LongChoice | None = None
    files: MediaFiles = NO_FILES
    keyframes: tuple[KeyframeFile, ...] | None = None
    retakes: tuple[Retake, ...] | None = None
    only: str | None = None
    fit: str | None = None
    settings: GivenSettings = NOTHING_GIVEN
    output: str | None = None
    enhancement: EnhancementRecord | None = None

    def over(self, other: ClipOptions) -> ClipOptions:
        """Return these options, and in place of what is not given here that of `other`."""
        missing: dict[str, Any] = {
            item.name: getattr(other, item.name) for item in fields(self) if getattr(self, item.name) is None
        }
        return replace(self, **missing, files=self.files.over(other.files), settings=self.settings.over(other.settings))


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """One clip to be generated from files. Every field is checked when the record is made.

    Attributes:
        prompt: what happens and what is heard.
        settings: sizes, steps and scales.
        negative_prompt: what guidance leads away from; empty is the null text.
        image: first frame, an image file.
        last_image: last frame, an image file.
        video: video file to generate the audio for; it is kept. With `retakes` a clip that is made anew in spans.
        audio: audio file, or video file with audio, to generate the video for; its audio is kept. With `retakes` that
            of the clip.
        keyframes: images at moments between the ends.
        retakes: spans of `video` and `audio` that are made anew.
        outputs: modalities that are asked for.
        fit: what is done with media of another shape or length, one of `FITS`.
        loras: what the model is adapted with.
        seed: 0 or more.
        index: number of the clip among those of its seed: in Python, clip i of a batch made with one seed is number i.
        start_s: where in `video` or `audio` the clip begins, in seconds after the file's start.
        retries: how often a clip that is flat, frozen or not finite is made again with another seed, 0 to 100.
        long: how the clip becomes longer than the settings say, which are then those of a window; None: it does not.
        model: name of the model, for the record in the file.
        enhancement: how the prompt came from what the user wrote, for the record in the file.

    Raises:
        ConfigError, ReadError: a value that cannot be used.
    """

    prompt: str
    settings: SamplingSettings
    negative_prompt: str = ""
    image: Path | None = None
    last_image: Path | None = None
    video: Path | None = None
    audio: Path | None = None
    keyframes: tuple[KeyframeFile, ...] = ()
    retakes: tuple[Retake, ...] = ()
    outputs: frozenset[Modality] = ALL
    fit: Fit = "crop"
    loras: tuple[LoraChoice, ...] = ()
    seed: int = 0
    index: int = 0
    start_s: float = 0.0
    retries: int = RETRIES
    long: LongChoice | None = None
    model: str = ""
    enhancement: EnhancementRecord | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ConfigError(f"prompt must hold text, got {self.prompt!r}")
        object.__setattr__(self, "seed", check_seed(self.seed))
        object.__setattr__(self, "index", check_index(self.index))
        if isinstance(self.retries, bool) or not 0 <= self.retries <= MOST_RETRIES:
            nearest = min(max(int(self.retries), 0), MOST_RETRIES)
            raise ConfigError(f"retries must be 0 to {MOST_RETRIES}, got {shorten(self.retries)}; nearest is {nearest}")
        for name in ("image", "last_image", "video", "audio"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ReadError(f"{name} must be a file that exists, got {path}")
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise ConfigError(f"start must be finite and 0 or more seconds, got {self.start_s}; nearest is 0")
        if self.start_s and self.video is None and self.audio is None:
            raise ConfigError(f"start is for a video or audio that is given, got {self.start_s} without; nearest is 0")
        check_choice("fit", self.fit, FITS)
        check_keyframe_files(self.keyframes)
        if self.retakes and (self.video is None or self.audio is None):
            missing = "video" if self.video is None else "audio"
            raise ConfigError(f"retake is for a clip that is given, got {self.retakes[0]} without {missing}")
        others = {
            "keyframe": self.keyframes,
            "retake": self.retakes,
            "only": () if self.outputs == ALL else self.outputs,
        }
        for name, given in others.items():
            if self.long is not None and given:
                raise ConfigError(f"{name} is for a clip of one window, got it for a long clip; leave one of them out")
        self.placed()

    def conditions(self) -> Conditions:
        """Return what is given, what of it stays, and what is asked for."""
        kept = kept_spans(self.retakes, self.settings.geometry.duration_s) if self.retakes else {}
        ends = ((0, self.image), (-1, self.last_image))
        return Conditions(
            keyframes=(
                *(frame for frame, path in ends if path is not None),
                *(keyframe.time_s for keyframe in self.keyframes),
            ),
            has_video=self.video is not None,
            has_audio=self.audio is not None,
            keep_video=kept.get("video"),
            keep_audio=kept.get("audio"),
            outputs=self.outputs,
        )

    def placed(self) -> Placed:
        """Return where all of it lies in the clip.

        Raises:
            ConfigError: see `Conditions.place`.
        """
        return self.conditions().place(self.settings.geometry)


def warn_outside(request: GenerateRequest, scope: Scope) -> str | None:
    """Return one line that says what a model was not trained for; None where all is known."""
    found = scope.outside(request.prompt, request.settings, request.image, request.last_image)
    if not found:
        return None
    return f"warning: {request.model} was not trained for this, the clip may make no sense: {'; '.join(found)}"
