"""The one assembly of the sampling loop, for generation, validation and teachers: from noise to clean latents."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch

from mova.conditioning.holds import Holds
from mova.diffusion.adaptive_guidance import BroadcastFlag
from mova.diffusion.denoise import Couple, OnStep, VelocityFunction, denoise, num_model_calls, plan_steps
from mova.diffusion.guidance import Branch, Guidance
from mova.diffusion.loop_state import PartState, Resuming, SamplingStep, Stateful
from mova.diffusion.sampler import SamplerName
from mova.diffusion.schedule import PairedSchedule
from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.models.dual_tower import DualTower
from mova.models.experts import ExpertForward
from mova.names import Expert
from mova.pipeline.loop.side_stream import beside_video
from mova.pipeline.loop.step_cache import StepCache
from mova.pipeline.loop.velocity import JointModel, TextConditions, VelocityModel
from mova.pipeline.output import CallCount
from mova.pipeline.run_plan import RunPlan
from mova.types import LatentPair, Velocities

StepCallback = Callable[[Any, int, float, dict[str, torch.Tensor]], dict[str, torch.Tensor] | None]
"""Called with (pipeline, step, timestep, {"latents", "audio_latents"}), as in diffusers; may return latents to use."""


@dataclass(frozen=True, eq=False)
class Course:
    """What the loop follows.

    Attributes:
        schedule: noise levels of both modalities.
        frame_rate: frames per second.
        guidance: scales; by default none.
        sampler: "euler" or "unipc".
        boundary_ratio: where the experts change; None with one video tower.
        step_cache, step_cache_order: see `StepCache`; a threshold of 0 computes every step.
        use_bridge: False lets the towers run apart in every branch.
    """

    schedule: PairedSchedule
    frame_rate: float
    guidance: Guidance = field(default_factory=Guidance)
    sampler: SamplerName = "euler"
    boundary_ratio: float | None = None
    step_cache: float = 0.0
    step_cache_order: int = 0
    use_bridge: bool = True

    @classmethod
    def of(cls, plan: RunPlan) -> Course:
        """Return what a call of the pipeline follows."""
        return cls(
            schedule=plan.schedule,
            frame_rate=plan.geometry.frame_rate,
            guidance=plan.guidance,
            sampler=plan.sampler,
            boundary_ratio=plan.boundary_ratio,
            step_cache=plan.settings.step_cache,
            step_cache_order=plan.settings.step_cache_order,
        )


def sample(
    models: Mapping[Expert, JointModel],
    course: Course,
    text: TextConditions,
    latents: LatentPair,
    condition: torch.Tensor,
    *,
    batch_branches: bool | None = None,
    clip_by_clip: bool = False,
    placement: str = "resident",
    spread: Callable[[VelocityModel], VelocityFunction] = lambda model: model,
    on_step: OnStep | None = None,
    watch: Callable[[SamplingStep], None] | None = None,
    broadcast_flag: BroadcastFlag = lambda flag, _: flag,
    is_stopped: Callable[[], bool] = lambda: False,
    resuming: Resuming | None = None,
    holds: Holds | None = None,
    couple: Couple | None = None,
) -> tuple[LatentPair, CallCount]:
    """Follow the schedule from noise to clean latents.

    A batch is computed in one call of the model, unless clip by clip is asked for. Where calls are spared by what the
    predictions look like (`adaptive_guidance`, `step_cache`), each clip is computed by itself in any case, so
    that no clip depends on those beside it.

    Args:
        models: joint model of each expert.
        course: schedule, guidance, sampler and step cache.
        text: embeddings of B clips.
        latents: of B clips at the first noise level: noise, or clean where a modality is held.
        condition: (B, 4 + C, T, h, w) of the known frames.
        clip_by_clip: compute each clip by itself.
        batch_branches, placement: see `VelocityModel`.
        spread: lets several processes evaluate the branches.
        on_step: called after each step.
        broadcast_flag: gives every process rank 0's decision on whether adaptive guidance ends.
        watch, is_stopped, resuming: see `denoise`; a state holds the step cache as well.
        holds: what is known of the clips and comes back as the same bits, see `denoise`.
        couple: lets the clips agree on their velocities, see `denoise`; they are computed clip by clip.

    Raises:
        NumericalError: latents that are not finite.
        StateError: a state of another run.

    Returns:
        Clean latents, and what was asked of the models.
    """
    threshold, guidance = course.step_cache, course.guidance
    towers = [tower for model in models.values() if (tower := _dual_tower(model))]
    # What stands before an expert gathers or brings its weights, which no other stream waits for.
    plain = [model for model in models.values() if isinstance(model, DualTower)]
    cache = StepCache(towers, threshold, order=course.step_cache_order) if threshold else None
    fits: dict[int, bool] = {}
    count = len(latents.video)
    size = 1 if threshold or guidance.tolerance or clip_by_clip else count
    counted = [
        _Counted(
            spread(
                VelocityModel(
                    high_noise=models["high_noise"],
                    low_noise=models["low_noise"],
                    text=text.rows(first, first + size),
                    condition=condition[first : first + size],
                    frame_rate=course.frame_rate,
                    batch_branches=batch_branches,
                    placement=placement,
                    cache=cache,
                    clip=first,
                    fits=fits,
                    use_bridge=course.use_bridge,
                )
            )
        )
        for first in range(0, count, size)
    ]
    if resuming is not None:
        further: dict[str, Stateful] = {"calls": _Calls(counted, fits)}
        resuming = replace(resuming, parts=further | ({"step cache": cache} if cache else {}))
    with cache or contextlib.nullcontext(), beside_video(plain, latents.video.device):
        made = denoise(
            counted,
            latents,
            course.schedule,
            guidance=guidance,
            sampler=course.sampler,
            boundary_ratio=course.boundary_ratio,
            on_step=on_step,
            watch=watch,
            broadcast_flag=broadcast_flag,
            is_stopped=is_stopped,
            resuming=resuming,
            holds=holds,
            couple=couple,
        )
    predictions = sum(one.predictions for one in counted)
    planned = count * num_model_calls(plan_steps(course.schedule, guidance, course.boundary_ratio))
    return made, CallCount(predictions, cache.repeated if cache else 0, planned)


def _dual_tower(model: JointModel) -> DualTower | None:
    """Return the towers and the bridge of a joint model, for hooks on them."""
    if isinstance(model, ExpertForward):
        return model.dual_tower
    return model if isinstance(model, DualTower) else None


@dataclass
class _Counted:
    """A `VelocityFunction` that counts what it is asked for."""

    inner: VelocityFunction
    predictions: int = 0

    def __call__(
        self,
        branches: Sequence[Branch],
        latents: LatentPair,
        video_timestep: torch.Tensor,
        audio_timestep: torch.Tensor,
        expert: Expert,
    ) -> Sequence[Velocities]:
        """See `VelocityFunction`."""
        self.predictions += len(branches) * len(latents.video)
        return self.inner(branches, latents, video_timestep, audio_timestep, expert)

    def begin_at(self, predictions: int) -> None:
        """Count on from what an earlier run has asked for."""
        self.predictions = predictions


@dataclass(frozen=True, eq=False)
class _Calls:
    """What was asked of the model so far, and which branches share a call: free memory decides that once for a run."""

    counted: Sequence[_Counted]
    fits: dict[int, bool]

    def state(self) -> PartState:
        """Return counts and decisions."""
        fits = {str(count): fits for count, fits in self.fits.items()}
        return PartState({"predictions": [one.predictions for one in self.counted], "fits": fits})

    def load_state(self, state: PartState) -> None:
        """Go on from a state."""
        for one, predictions in zip(self.counted, state.numbers["predictions"], strict=True):
            one.begin_at(int(predictions))
        self.fits.update({int(count): bool(fits) for count, fits in state.numbers["fits"].items()})


CALLBACK_INPUTS: Final = ("latents", "audio_latents")


def step_callback(
    pipeline: object,
    plan: RunPlan,
    on_progress: Callable[[], object],
    on_step_end: StepCallback | None,
    names: Sequence[str] = CALLBACK_INPUTS,
) -> OnStep:
    """Return what the loop calls after each step: a bar that moves, and a caller that may change the latents.

    Args:
        pipeline: for the caller.
        plan: whose timesteps the caller is told.
        on_progress: called first.
        on_step_end: the caller's function, or None.
        names: what the caller is shown, of `CALLBACK_INPUTS`.
    """

    def on_step(done: int, _: int, latents: LatentPair) -> LatentPair | None:
        on_progress()
        if on_step_end is None:
            return None
        timestep = float(plan.schedule.video_timesteps[done - 1])
        known = {"latents": latents.video, "audio_latents": latents.audio}
        shown = {name: known[name] for name in names}
        versions = {name: value._version for name, value in shown.items()}
        changed = _checked(on_step_end(pipeline, done - 1, timestep, dict(shown)), known)
        replaced = known | changed
        # A caller who hands back what it was shown has changed nothing: a solver with a history goes on with it.
        is_new = any(replaced[name] is not known[name] for name in known)
        if not is_new and all(value._version == versions[name] for name, value in shown.items()):
            return None
        return LatentPair(replaced["latents"], replaced["audio_latents"])

    return on_step


def _checked(returned: Any, known: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the latents that a callback handed back.

    Raises:
        ConfigError: something else than a mapping of latents of the same shape.
    """
    if returned is None:
        return {}
    if not isinstance(returned, Mapping):
        raise ConfigError(f"callback_on_step_end must return None or a mapping of latents, got {shorten(returned)}")
    for name, value in returned.items():
        if name not in known:
            raise ConfigError(f"callback_on_step_end may return {', '.join(known)}, got {shorten(name)}")
        if not isinstance(value, torch.Tensor) or value.shape != known[name].shape:
            found = tuple(value.shape) if isinstance(value, torch.Tensor) else shorten(value)
            raise ConfigError(f"{name} of callback_on_step_end must be {tuple(known[name].shape)}, got {found}")
    return {name: value if value is known[name] else value.to(known[name].device) for name, value in returned.items()}
