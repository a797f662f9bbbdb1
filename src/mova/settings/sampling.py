"""What a clip is sampled with: sizes, steps, scales, schedule and what may be left out, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self

from mova.checks import check_cache, check_choice, check_guidance, check_share, check_shift, check_steps
from mova.files.json_file import Fields, field_kinds, shorten
from mova.geometry import ClipGeometry, CodecGeometry
from mova.settings.speed import speed_named
from mova.weights.locate import ModelDefaults

# Equal to types in `mova.diffusion` and `mova.codecs` (a test compares them), which cannot be imported without torch.
SAMPLERS = ("euler", "unipc")
SIGMA_LOOKUPS = ("exact", "nearest")
NULL_IMAGES = ("white", "none")

# What a speed preset, or the adapters for few steps, decide; with another preset it is decided anew.
_OF_SPEED: Final = (
    *("num_inference_steps", "sampler", "guidance_interval", "adaptive_guidance", "step_cache", "step_cache_order"),
    *("guidance_scale", "modality_scale", "guidance_rescale", "video_shift", "audio_shift"),
)
_OF_MODEL: Final = ("codec", "geometry")

SettingValue = int | float | str | tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class GivenSettings:
    """Sampling settings as far as they are given: None is left to the speed preset and the model.

    The fields are those of `SamplingSettings` (a test compares them) and are checked there.
    """

    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    frame_rate: float | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    modality_scale: float | None = None
    audio_guidance_scale: float | None = None
    audio_modality_scale: float | None = None
    guidance_rescale: float | None = None
    guidance_interval: tuple[float, float] | None = None
    video_shift: float | None = None
    audio_shift: float | None = None
    hold_noise: float | None = None
    sampler: str | None = None
    sigma_lookup: str | None = None
    null_image: str | None = None
    adaptive_guidance: float | None = None
    step_cache: float | None = None
    step_cache_order: int | None = None

    def values(self) -> dict[str, SettingValue]:
        """Return what is given, by field."""
        return {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) is not None}

    def over(self, other: GivenSettings) -> Self:
        """Return these settings, and in place of what is not given here that of `other`."""
        values: dict[str, Any] = {**other.values(), **self.values()}
        return replace(self, **values)

    def without_speed(self) -> Self:
        """Return these settings without what a speed preset decides."""
        return replace(self, **dict.fromkeys(_OF_SPEED))

    @classmethod
    def recommended(cls, defaults: ModelDefaults) -> Self:
        """Return what a model recommends."""
        known = {item.name for item in fields(defaults)}
        return cls(**{item.name: getattr(defaults, item.name) for item in fields(cls) if item.name in known})

    @classmethod
    def read(cls, record: Fields, spelt: Mapping[str, str] | None = None) -> Self:
        """Read settings from a JSON object; each value must be of its field's kind.

        Args:
            record: keys are names of fields, and nothing else. Null is as not given where None is a setting.
            spelt: other names of some fields.

        Raises:
            MovaError: of the class of `record`: an unknown key, or a value of another kind.
        """
        kinds, optional = field_kinds(cls), _optional_settings()
        names = {(spelt or {}).get(name, name): name for name in kinds}
        found: dict[str, Any] = {}
        for key, value in record.values.items():
            if key not in names:
                raise record.error(f"{record.where} must hold only {', '.join(names)}; got {shorten(key)}")
            name = names[key]
            if not (value is None and name in optional):
                found[name] = record.of_kind(key, kinds[name])
        return cls(**found)


NOTHING_GIVEN: Final = GivenSettings()


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Sizes, steps and scales of a clip. Every field is checked when the record is made.

    Attributes:
        height, width: in pixels.
        num_frames: 1 plus a multiple of the temporal stride.
        frame_rate: frames per second.
        num_inference_steps: 1 to 1000.
        guidance_scale: classifier-free guidance scale for the text prompt; 1 disables it.
        modality_scale: cross-modal (bridge) guidance scale; 1 disables it.
        audio_guidance_scale, audio_modality_scale: the same two for the audio alone; None takes those of the video.
        guidance_rescale: in [0, 1].
        guidance_interval: (low, high) in sigma, where guidance acts.
        video_shift, audio_shift: sigma shift of the schedule; None takes the scheduler's.
        hold_noise: in [0, 1], noise augmentation of a video or an audio that is given whole: share of each step's noise
            level that it has. 0 is clean at timestep 0, 1 is put to the level of what is made ("renoise").
        sampler: one of `SAMPLERS`.
        sigma_lookup: "exact", or "nearest" for the quantised sigmas of the published code.
        null_image: what stands in for a missing first frame, one of `NULL_IMAGES`.
        adaptive_guidance: in [0, 1]; guidance ends once the predictions with and without the text (and the bridge) are
            as near to each other, in cosine distance; 0 guides as planned.
        step_cache: change of the video tower's first block below which its others are repeated from the step before; 0
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
    hold_noise: float = 0.0
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
        check_guidance(
            guidance_scale=self.guidance_scale,
            modality_scale=self.modality_scale,
            audio_guidance_scale=self.audio_guidance_scale,
            audio_modality_scale=self.audio_modality_scale,
            guidance_rescale=self.guidance_rescale,
            guidance_interval=self.guidance_interval,
            adaptive_guidance=self.adaptive_guidance,
        )
        for name in ("video_shift", "audio_shift"):
            check_shift(name, getattr(self, name))
        check_share("hold_noise", self.hold_noise)
        check_cache(self.step_cache, self.step_cache_order)
        check_choice("sampler", self.sampler, SAMPLERS)
        check_choice("sigma_lookup", self.sigma_lookup, SIGMA_LOOKUPS)
        check_choice("null_image", self.null_image, NULL_IMAGES)

    @classmethod
    def for_model(
        cls,
        defaults: ModelDefaults,
        codec: CodecGeometry,
        given: GivenSettings = NOTHING_GIVEN,
        *,
        speed: str = "exact",
        hold_video: bool = False,
        hold_audio: bool = False,
    ) -> Self:
        """Make settings in which what was not given takes the value of the speed preset, else the model's.

        Args:
            defaults: of the model.
            codec: of the model.
            given: what was asked for.
            speed: preset of `mova.settings.speed`, which changes what is recommended, not what is given.
            hold_video: the video is given; what the model recommends for its shift does not apply where it is clean.
            hold_audio: likewise for the audio.
        """
        preset, recommended = speed_named(speed), type(given).recommended(defaults)
        of_held = defaults.video_hold_noise if hold_video else defaults.audio_hold_noise if hold_audio else 0.0
        is_clean = not (of_held if given.hold_noise is None else given.hold_noise)
        held = {"video_shift": hold_video and is_clean, "audio_shift": hold_audio and is_clean}
        unused = {name: None for name, is_held in held.items() if is_held}
        recommended = replace(recommended, hold_noise=of_held, **unused)
        quicker = GivenSettings(
            num_inference_steps=preset.steps(defaults.num_inference_steps),
            sampler=preset.sampler,
            guidance_interval=preset.guidance_interval,
            adaptive_guidance=preset.adaptive_guidance,
            step_cache=preset.cache_threshold,
            step_cache_order=preset.cache_order,
        )
        values: dict[str, Any] = given.over(quicker).over(recommended).values()
        return cls(codec=codec, **values)

    def record(self) -> dict[str, object]:
        """Return the settings as JSON values, by field; `GivenSettings.read` reads them again."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _OF_MODEL}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}


def _optional_settings() -> frozenset[str]:
    """Return the settings that may be None in `SamplingSettings`."""
    return frozenset(item.name for item in fields(SamplingSettings) if "None" in str(item.type))
