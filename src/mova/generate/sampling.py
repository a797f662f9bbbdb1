"""From the plan of a run to clean latents: the joint models of both experts on the denoising loop."""

from __future__ import annotations

import contextlib

from mova.diffusion.denoise import OnStep, denoise, num_model_calls
from mova.generate.output import CallCount
from mova.generate.run_plan import RunPlan, Start
from mova.generate.step_cache import StepCache
from mova.generate.velocity import TextConditions, VelocityModel
from mova.models.dual_tower import DualTower
from mova.types import LatentPair


def sample(
    high_noise: DualTower,
    low_noise: DualTower,
    plan: RunPlan,
    text: TextConditions,
    start: Start,
    *,
    batch_branches: bool | None = None,
    on_step: OnStep | None = None,
) -> tuple[LatentPair, CallCount]:
    """Follow the schedule from noise to clean latents.

    Args:
        high_noise, low_noise: joint models of the experts.
        plan: settings, schedule and guidance.
        text: embeddings.
        start: noise, known frames and held modalities.
        batch_branches: see `VelocityModel`.
        on_step: called after each step.

    Raises:
        NumericalError: latents that are not finite.
    """
    threshold = plan.settings.step_cache
    cache = StepCache((high_noise, low_noise), threshold) if threshold else None
    model = VelocityModel(
        high_noise=high_noise,
        low_noise=low_noise,
        text=text,
        condition=start.condition,
        frame_rate=plan.geometry.frame_rate,
        batch_branches=batch_branches,
        cache=cache,
    )
    with cache or contextlib.nullcontext():
        latents = denoise(
            model,
            start.latents,
            plan.schedule,
            guidance=plan.guidance,
            sampler=plan.sampler,
            boundary_ratio=plan.boundary_ratio,
            on_step=on_step,
        )
    return latents, CallCount(num_model_calls(plan.steps), cache.repeated if cache else 0)
