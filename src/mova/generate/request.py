"""What is to be generated, checked before anything heavy is imported or loaded (no torch here)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mova.errors import ConfigError, ReadError
from mova.generate.seeds import check_index, check_seed
from mova.generate.speed import speed_named
from mova.geometry import ClipGeometry, CodecGeometry
from mova.weights.locate import ModelDefaults
from mova.weights.lora.source import find_lora, refuse_pickle

MAX_STEPS = 1000
# Equal to types in `mova.diffusion` and `mova.codecs` (a test compares them), which cannot be imported without torch.
SAMPLERS = ("euler", "unipc")
SIGMA_LOOKUPS = ("exact", "nearest")
NULL_IMAGES = ("white", "none")


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Sizes, steps and scales of a clip. Every field is checked when the record is made.

    Attributes:
        height, width: in pixels.
        num_frames: 1 plus a multiple of the temporal stride.
        frame_rate: frames per second.
        num_inference_steps: 1 to 1000.
        guidance_scale: of the text; 1 switches it off.
        modality_scale: of the bridge; 1 switches it off.
        audio_guidance_scale, audio_modality_scale: for the sound alone; None takes those of the picture.
        guidance_rescale: in [0, 1].
        guidance_interval: (low, high) in sigma, where guidance acts.
        video_shift, audio_shift: of the schedule; None takes the scheduler's.
        sampler: one of `SAMPLERS`.
        sigma_lookup: "exact", or "nearest" for the quantised sigmas of the published code.
        null_image: what stands in for a missing first frame, one of `NULL_IMAGES`.
        adaptive_guidance: in [0, 1]; guidance ends once the predictions with and without the text (and the bridge) are
            as near to each other, in cosine distance; 0 guides as planned.
        step_cache: change of the picture's first block below which its others are repeated from the step before; 0
            computes all of them.
        step_cache_order: 0 repeats them as they were, 1 and 2 forecast them from two or three earlier steps.
        codec: strides of the model's autoencoders.

    Raises:
        ConfigError, GeometryError: a value that cannot be used: rule, value and nearest valid value.
    """

    height: int = 352
    width: int = 640
    num_frames: int = 193
    frame_rate: float = 24.0
    num_inference_steps: int = 50
    guidance_scale: float = 5.0
    modality_scale: float = 1.0
    audio_guidance_scale: float | None = None
    audio_modality_scale: float | None = None
    guidance_rescale: float = 0.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    video_shift: float | None = None
    audio_shift: float | None = None
    sampler: str = "euler"
    sigma_lookup: str = "exact"
    null_image: str = "white"
    adaptive_guidance: float = 0.0
    step_cache: float = 0.0
    step_cache_order: int = 0
    codec: CodecGeometry = field(default_factory=CodecGeometry)
    geometry: ClipGeometry = field(init=False)

    def __post_init__(self) -> None:
        geometry = ClipGeometry(self.height, self.width, self.num_frames, self.frame_rate, self.codec)
        object.__setattr__(self, "geometry", geometry)
        check_steps(self.num_inference_steps)
        for name in ("guidance_scale", "modality_scale", "audio_guidance_scale", "audio_modality_scale"):
            check_scale(name, getattr(self, name))
        for name in ("video_shift", "audio_shift"):
            check_shift(name, getattr(self, name))
        if not 0 <= self.guidance_rescale <= 1:
            nearest = 1 if self.guidance_rescale > 1 else 0
            raise ConfigError(f"guidance_rescale must lie in [0, 1], got {self.guidance_rescale}; nearest is {nearest}")
        low, high = self.guidance_interval
        if not 0 <= low < high <= 1:
            raise ConfigError(
                f"guidance_interval must satisfy 0 <= low < high <= 1, got {low} and {high}; all is 0 and 1"
            )
        if not 0 <= self.adaptive_guidance <= 1:
            nearest = 1 if self.adaptive_guidance > 1 else 0
            raise ConfigError(
                f"adaptive_guidance must lie in [0, 1], got {self.adaptive_guidance}; nearest is {nearest}"
            )
        check_cache(self.step_cache, self.step_cache_order)
        check_choice("sampler", self.sampler, SAMPLERS)
        check_choice("sigma_lookup", self.sigma_lookup, SIGMA_LOOKUPS)
        check_choice("null_image", self.null_image, NULL_IMAGES)

    @classmethod
    def for_model(
        cls,
        defaults: ModelDefaults,
        codec: CodecGeometry,
        *,
        speed: str = "exact",
        hold_video: bool = False,
        hold_audio: bool = False,
        **given: Any,
    ) -> SamplingSettings:
        """Make settings in which what was not given (None) takes the model's recommended value.

        Args:
            defaults: of the model.
            codec: of the model.
            speed: rung of the ladder (`mova.generate.speed`), which changes what is recommended, not what is given.
            hold_video: the picture is given and stays clean; what the model recommends for its shift does not apply.
            hold_audio: likewise for the sound.
            given: fields of this class.
        """
        rung = speed_named(speed)
        own = {item.name for item in fields(cls)}
        recommended = {item.name: getattr(defaults, item.name) for item in fields(defaults) if item.name in own}
        chosen = {name: value for name, value in given.items() if value is not None}
        quicker = {
            "num_inference_steps": rung.steps(recommended["num_inference_steps"]),
            "sampler": rung.sampler or recommended["sampler"],
            "guidance_interval": rung.guidance_interval,
            "adaptive_guidance": rung.adaptive_guidance,
            "step_cache": rung.cache_threshold,
            "step_cache_order": rung.cache_order,
        }
        held = {"video_shift": hold_video, "audio_shift": hold_audio}
        without = {name: None for name, is_held in held.items() if is_held}
        return cls(codec=codec, **(recommended | quicker | without | chosen))


@dataclass(frozen=True)
class LoraChoice:
    """A LoRA to generate with.

    Attributes:
        path: a safetensors file, or a folder with one.
        scale: 1 is as trained, 0 is without effect.

    Raises:
        ConfigError, ReadError, CheckpointError: a scale that is not finite, a file that does not exist or is pickled.
    """

    path: Path
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (self.path.is_file() or self.path.is_dir()):
            raise ReadError(f"lora must be a file that exists, got {self.path}; write FILE or FILE:SCALE")
        refuse_pickle(find_lora(self.path).weights)
        if not math.isfinite(self.scale):
            raise ConfigError(f"scale of a LoRA must be a finite number, got {self.scale}; nearest is 1.0")


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """One clip to be generated from files. Every field is checked when the record is made.

    Attributes:
        prompt: what happens and what is heard.
        settings: sizes, steps and scales.
        negative_prompt: what guidance leads away from; empty is the null text.
        image: first frame, a picture file.
        last_image: last frame, a picture file.
        video: film to make sound for; its picture is kept.
        audio: sound, or film with sound, to make a picture for; its sound is kept.
        loras: what the model is adapted with.
        seed: 0 or more.
        index: number of the clip among those of its seed: in Python, clip i of a batch made with one seed is number i.
        start_s: where in `video` or `audio` the clip begins, in seconds after the file's start.
        model: name of the model, for the record in the file.

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
    loras: tuple[LoraChoice, ...] = ()
    seed: int = 0
    index: int = 0
    start_s: float = 0.0
    model: str = ""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ConfigError(f"prompt must hold text, got {self.prompt!r}")
        object.__setattr__(self, "seed", check_seed(self.seed))
        object.__setattr__(self, "index", check_index(self.index))
        for name in ("image", "last_image", "video", "audio"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ReadError(f"{name} must be a file that exists, got {path}")
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise ConfigError(f"start must be finite and 0 or more seconds, got {self.start_s}; nearest is 0")
        if self.start_s and self.video is None and self.audio is None:
            raise ConfigError(f"start is for a video or audio that is given, got {self.start_s} without; nearest is 0")
        check_tasks(
            has_image=self.image is not None or self.last_image is not None,
            has_video=self.video is not None,
            has_audio=self.audio is not None,
        )


def check_tasks(*, has_image: bool, has_video: bool, has_audio: bool) -> None:
    """Refuse inputs that contradict each other."""
    if has_video and has_audio:
        raise ConfigError("video and audio are both given, so nothing is left to generate; give one of them")
    if has_video and has_image:
        raise ConfigError("video already holds the frames; leave out image and last_image")


def check_steps(num_inference_steps: int) -> None:
    """Refuse a number of steps outside 1 to `MAX_STEPS`."""
    if isinstance(num_inference_steps, bool) or not isinstance(num_inference_steps, int):
        raise ConfigError(f"steps must be a whole number from 1 to {MAX_STEPS}, got {num_inference_steps!r}")
    if not 1 <= num_inference_steps <= MAX_STEPS:
        nearest = min(max(num_inference_steps, 1), MAX_STEPS)
        raise ConfigError(f"steps must lie between 1 and {MAX_STEPS}, got {num_inference_steps}; nearest is {nearest}")


def check_scale(name: str, scale: float | None) -> None:
    """Refuse a guidance scale that is not finite or below 0."""
    if scale is not None and not (math.isfinite(scale) and scale >= 0):
        raise ConfigError(f"{name} must be finite and 0 or more, got {scale}; 1.0 switches it off")


def check_shift(name: str, shift: float | None) -> None:
    """Refuse a sigma shift that is not finite and above 0."""
    if shift is not None and not (math.isfinite(shift) and shift > 0):
        raise ConfigError(f"{name} must be positive and finite, got {shift}; the released models use 5.0")


def check_cache(threshold: float, order: int) -> None:
    """Refuse a threshold of the step cache that is not finite or below 0, and an order that is not 0, 1 or 2."""
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ConfigError(f"step_cache must be finite and 0 or more, got {threshold}; nearest is 0, which is off")
    if isinstance(order, bool) or order not in (0, 1, 2):
        nearest = 2 if order > 2 else 0
        raise ConfigError(f"step_cache_order must be 0, 1 or 2, got {order}; nearest is {nearest}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among `choices`; the text names the one that is most like it."""
    if value not in choices:
        import difflib

        close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.0)
        raise ConfigError(f"{name} must be one of {', '.join(choices)}; got {value!r}; nearest is {close[0]}")
