"""What is settled before the first computation of a run, and what it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import torch

from mova.conditioning.frames import NullImage
from mova.conditioning.holds import HoldMethod, Holds
from mova.conditioning.spec import ALL, Modality, Placed
from mova.diffusion.denoise import StepPlan, plan_steps
from mova.diffusion.guidance import Guidance
from mova.diffusion.sampler import SamplerName
from mova.diffusion.schedule import PairedFlowMatchScheduler, PairedSchedule, SigmaLookup
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.kernels.techniques import Technique, check_together
from mova.pipeline.inputs.media import GivenMedia, GivenNoise, expand_batch
from mova.pipeline.output import OutputType, check_output_type
from mova.settings.sampling import SamplingSettings
from mova.settings.seeds import Seeds
from mova.types import LatentPair


@dataclass(frozen=True, eq=False)
class RunPlan:
    """A checked call of the pipeline.

    Attributes:
        settings: sizes, steps and scales.
        schedule: noise levels of both modalities.
        guidance: scales.
        boundary_ratio: where the experts change; None with one video tower.
        num_prompts: texts, or rows of given embeddings.
        per_prompt: clips per prompt.
        output_type: form of the result.
        placed: where what is given lies, and what of it stays.
        outputs: modalities that are asked for.
    """

    settings: SamplingSettings
    schedule: PairedSchedule
    guidance: Guidance
    boundary_ratio: float | None
    num_prompts: int
    per_prompt: int
    output_type: OutputType
    placed: Placed = field(default_factory=Placed)
    outputs: frozenset[Modality] = ALL

    @property
    def hold(self) -> HoldMethod:
        """How a modality that is given whole is held."""
        return "renoise" if self.settings.hold_noise else "clean"

    @property
    def geometry(self) -> ClipGeometry:
        """Of the clips."""
        return self.settings.geometry

    @property
    def sampler(self) -> SamplerName:
        """Name of the sampler."""
        return cast("SamplerName", self.settings.sampler)

    @property
    def null_image(self) -> NullImage:
        """What stands in for a missing first frame."""
        return cast("NullImage", self.settings.null_image)

    @property
    def batch_size(self) -> int:
        """B: clips in all, the samples of one prompt side by side."""
        return self.num_prompts * self.per_prompt

    @cached_property
    def steps(self) -> tuple[StepPlan, ...]:
        """Expert and branches of each step."""
        return plan_steps(self.schedule, self.guidance, self.boundary_ratio)

    @property
    def needs_negative_text(self) -> bool:
        """Whether any step asks for a prediction without the prompt."""
        return any(not branch.text for step in self.steps for branch in step.mix.branches)

    def expand(self, value: torch.Tensor, name: str) -> torch.Tensor:
        """Give every clip its row: of one for all, one per prompt, or one per clip; `name` is for the error."""
        return expand_batch(value, self.num_prompts, self.per_prompt, name)


def plan_run(
    settings: SamplingSettings,
    scheduler: PairedFlowMatchScheduler,
    given: GivenMedia,
    noise: GivenNoise,
    *,
    prompt: str | Sequence[str] | None,
    prompt_embeds: torch.Tensor | None,
    per_prompt: int,
    output_type: OutputType,
    boundary_ratio: float | None,
    num_processes: int = 1,
) -> RunPlan:
    """Settle everything that can be known before the first computation.

    Args:
        settings: sizes, steps and scales.
        scheduler: makes the schedule.
        given, noise: media and noise of the caller.
        prompt, prompt_embeds: exactly one of them.
        per_prompt: clips per prompt.
        output_type: form of the result.
        boundary_ratio: where the experts change; None with one video tower.
        num_processes: that generate together.

    Raises:
        ConfigError: arguments that contradict each other, or a value outside its range.
    """
    check_output_type(output_type)
    if settings.step_cache and num_processes > 1:
        check_together({Technique.STEP_CACHE: settings.step_cache, Technique.BRANCH_PARALLEL: num_processes})
    placed = given.check(settings.geometry)
    noise.check()
    if (prompt is None) == (prompt_embeds is None):
        raise ConfigError("exactly one of prompt and prompt_embeds must be given")
    if per_prompt < 1:
        raise ConfigError(f"num_videos_per_prompt must be at least 1, got {per_prompt}; nearest is 1")
    is_whole = {name: held.is_whole for name, held in placed.held.items()}
    # Spans that keep all of it are found out here only; a shift that the model recommends says nothing then.
    recommended: dict[Modality, float | None] = {"video": settings.video_shift, "audio": settings.audio_shift}
    shifts = {
        name: None if is_whole[name] and not settings.hold_noise and not given.is_whole(name) else shift
        for name, shift in recommended.items()
    }
    schedule = scheduler.make_schedule(
        settings.num_inference_steps,
        video_shift=shifts["video"],
        audio_shift=shifts["audio"],
        hold_video=is_whole["video"],
        hold_audio=is_whole["audio"],
        hold_noise=settings.hold_noise,
        sigma_lookup=cast("SigmaLookup", settings.sigma_lookup),
    )
    texts = prompt if prompt_embeds is None else prompt_embeds
    num_prompts = 1 if texts is None or isinstance(texts, str) else len(texts)
    if num_prompts == 0:
        raise ConfigError("prompt must be a text or a list of texts, got an empty list")
    return RunPlan(
        settings=settings,
        schedule=schedule,
        guidance=guidance_of(settings),
        boundary_ratio=boundary_ratio,
        num_prompts=num_prompts,
        per_prompt=per_prompt,
        output_type=output_type,
        placed=placed,
        outputs=frozenset(given.outputs),
    )


@dataclass(frozen=True, eq=False)
class Start:
    """What the loop starts from.

    Attributes:
        latents: at the first noise level, float32.
        condition: (B, 4 + C, T, h, w) of the known frames.
        given_frames: (B, 3, F, H, W) of a video that audio is made for; the result shows it untouched.
        given_audio: (B, 1, S) of audio that a video is made for.
        seeds: of the noise; None where the caller gave it.
        holds: what of the latents is known and stays.
        kept_frames, kept_audio: as `given_frames` and `given_audio`, of media of which parts stay.
    """

    latents: LatentPair
    condition: torch.Tensor
    given_frames: torch.Tensor | None
    given_audio: torch.Tensor | None
    seeds: Seeds | None
    holds: Holds | None = None
    kept_frames: torch.Tensor | None = None
    kept_audio: torch.Tensor | None = None


def guidance_of(settings: SamplingSettings) -> Guidance:
    """Return the scales of checked settings as the denoising loop takes them."""
    return Guidance(
        guidance_scale=settings.guidance_scale,
        modality_scale=settings.modality_scale,
        audio_guidance_scale=settings.audio_guidance_scale,
        audio_modality_scale=settings.audio_modality_scale,
        rescale=settings.guidance_rescale,
        interval=settings.guidance_interval,
        tolerance=settings.adaptive_guidance,
    )
