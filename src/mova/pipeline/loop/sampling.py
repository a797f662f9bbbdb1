"""From the plan of a run to clean latents: the joint models of both experts on the denoising loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from mova.diffusion.adaptive_guidance import BroadcastFlag
from mova.diffusion.denoise import OnStep, VelocityFunction, denoise, num_model_calls
from mova.diffusion.guidance import Branch
from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.models.dual_tower import DualTower
from mova.names import Expert
from mova.pipeline.loop.side_stream import beside_video
from mova.pipeline.loop.step_cache import StepCache
from mova.pipeline.loop.velocity import JointModel, TextConditions, VelocityModel
from mova.pipeline.output import CallCount
from mova.pipeline.run_plan import RunPlan, Start
from mova.types import LatentPair, Velocities

StepCallback = Callable[[Any, int, float, dict[str, torch.Tensor]], dict[str, torch.Tensor] | None]
"""Called with (pipeline, step, timestep, {"latents", "audio_latents"}), as in diffusers; may return latents to use."""


def sample(
    high_noise: JointModel,
    low_noise: JointModel,
    plan: RunPlan,
    text: TextConditions,
    start: Start,
    *,
    batch_branches: bool | None = None,
    spread: Callable[[VelocityModel], VelocityFunction] = lambda model: model,
    on_step: OnStep | None = None,
    broadcast_flag: BroadcastFlag = lambda flag, _: flag,
    is_stopped: Callable[[], bool] = lambda: False,
) -> tuple[LatentPair, CallCount]:
    """Follow the schedule from noise to clean latents.

    A batch is computed in one call of the model. Where calls are spared by what the predictions look like
    (`adaptive_guidance`, `step_cache`), each clip of a batch is computed by itself, so that no clip depends on those
    beside it.

    Args:
        high_noise, low_noise: joint models of the experts.
        plan: settings, schedule and guidance.
        text: embeddings.
        start: noise, known frames and held modalities.
        batch_branches: see `VelocityModel`.
        spread: lets several processes evaluate the branches.
        on_step: called after each step.
        broadcast_flag: gives every process rank 0's decision on whether adaptive guidance ends.
        is_stopped: see `denoise`.

    Raises:
        NumericalError: latents that are not finite.
    """
    threshold = plan.settings.step_cache
    whole = [model for model in (high_noise, low_noise) if isinstance(model, DualTower)]
    cache = StepCache(whole, threshold, order=plan.settings.step_cache_order) if threshold else None
    fits: dict[int, bool] = {}
    size = 1 if threshold or plan.guidance.tolerance else len(start.latents.video)
    counted = [
        _Counted(
            spread(
                VelocityModel(
                    high_noise=high_noise,
                    low_noise=low_noise,
                    text=text.rows(first, first + size),
                    condition=start.condition[first : first + size],
                    frame_rate=plan.geometry.frame_rate,
                    batch_branches=batch_branches,
                    cache=cache,
                    clip=first,
                    fits=fits,
                )
            )
        )
        for first in range(0, len(start.latents.video), size)
    ]
    with cache or contextlib.nullcontext(), beside_video(whole, start.latents.video.device):
        latents = denoise(
            counted,
            start.latents,
            plan.schedule,
            guidance=plan.guidance,
            sampler=plan.sampler,
            boundary_ratio=plan.boundary_ratio,
            on_step=on_step,
            broadcast_flag=broadcast_flag,
            is_stopped=is_stopped,
        )
    made = sum(one.predictions for one in counted)
    planned = len(latents.video) * num_model_calls(plan.steps)
    return latents, CallCount(made, cache.repeated if cache else 0, planned)


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


CALLBACK_INPUTS: Final = ("latents", "audio_latents")


def step_callback(
    pipeline: Any,
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
