"""What a clip is sampled with: sizes, steps, scales, schedule and what may be left out, checked in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from mova.checks import check_cache, check_choice, check_scale, check_shift, check_steps
from mova.errors import ConfigError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.settings.speed import speed_named
from mova.weights.locate import ModelDefaults

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
            speed: rung of the ladder (`mova.settings.speed`), which changes what is recommended, not what is given.
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
