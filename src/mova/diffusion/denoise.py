"""The denoising loop: from noise to clean latents of both modalities.

Everything that can be known before the first call is a plan made of plain numbers (`plan_steps`): the expert, the
timesteps and the branches of each step. So the number of model calls is known in advance, and the loop never waits for
the device before its end: whether latents are finite is found in the background (`mova.diffusion.finite`). Adaptive
guidance, on request, looks at the predictions as well: it waits, and may make fewer calls than planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch

from mova.diffusion.adaptive_guidance import AdaptiveGuidance, BroadcastFlag
from mova.diffusion.finite import FiniteCheck
from mova.diffusion.guidance import Branch, BranchMix, Guidance
from mova.diffusion.holds import HeldRegions, Holds
from mova.diffusion.loop_state import LoopState, Resuming, SamplingStep, Stateful
from mova.diffusion.sampler import Sampler, SamplerName, make_sampler
from mova.diffusion.schedule import PairedSchedule
from mova.errors import ConfigError
from mova.names import Expert
from mova.types import LatentPair, Velocities

OnStep = Callable[[int, int, LatentPair], LatentPair | None]
"""Called after each step with (steps done, steps in all, latents); latents that it returns replace the current ones."""

Couple = Callable[[Velocities], Velocities]
"""From the guided velocities (B, ...) of clips that have something in common to those that they agree on."""


class VelocityFunction(Protocol):
    """Predicts velocities; decides itself whether the branches share a call or take turns."""

    def __call__(
        self,
        branches: Sequence[Branch],
        latents: LatentPair,
        video_timestep: torch.Tensor,
        audio_timestep: torch.Tensor,
        expert: Expert,
    ) -> Sequence[Velocities]:
        """Return one prediction per branch for float32 latents and timesteps (B,), float32 in [0, 1000]."""
        ...


@dataclass(frozen=True)
class StepPlan:
    """What one step asks of the model.

    Attributes:
        expert: the video tower to use.
        mix: the branches to evaluate and their weights.
    """

    expert: Expert
    mix: BranchMix


def plan_steps(
    schedule: PairedSchedule, guidance: Guidance, boundary_ratio: float | None = None
) -> tuple[StepPlan, ...]:
    """Decide every step of a run beforehand.

    Args:
        schedule: noise levels of both modalities.
        guidance: scales and interval.
        boundary_ratio: the high-noise expert is used while the video timestep is at least this fraction of
            `num_train_timesteps` (0.9 in the release). None: there is only one tower, called "high_noise" as on disk.

    Returns:
        One plan per step. A modality that is given whole is not guided. Held-clean video has timestep 0 throughout, so
        audio for a given video takes the low-noise expert, the one that was trained on (nearly) clean video.

    Raises:
        ConfigError: boundary_ratio outside [0, 1].
    """
    if boundary_ratio is not None and not 0 <= boundary_ratio <= 1:
        raise ConfigError(f"boundary_ratio must lie in [0, 1], got {boundary_ratio}; the release uses 0.9")
    boundary = -1.0 if boundary_ratio is None else boundary_ratio * schedule.num_train_timesteps
    video_guided, audio_guided = (0.0 if is_held else 1.0 for is_held in schedule.is_held)
    return tuple(
        StepPlan(
            "high_noise" if timestep >= boundary else "low_noise",
            guidance.at(video_guided * video_sigma, audio_guided * audio_sigma),
        )
        for timestep, video_sigma, audio_sigma in zip(
            schedule.video_timesteps.tolist(),
            schedule.video_sigmas[:-1].tolist(),
            schedule.audio_sigmas[:-1].tolist(),
            strict=True,
        )
    )


def num_model_calls(plan: Sequence[StepPlan]) -> int:
    """Count the planned predictions of a run, one per step and branch; adaptive guidance may make fewer."""
    return sum(len(step.mix.branches) for step in plan)


def denoise(
    velocity_function: VelocityFunction | Sequence[VelocityFunction],
    latents: LatentPair,
    schedule: PairedSchedule,
    *,
    guidance: Guidance | None = None,
    sampler: SamplerName = "euler",
    boundary_ratio: float | None = None,
    on_step: OnStep | None = None,
    watch: Callable[[SamplingStep], None] | None = None,
    broadcast_flag: BroadcastFlag = lambda flag, _: flag,
    is_stopped: Callable[[], bool] = lambda: False,
    resuming: Resuming | None = None,
    holds: Holds | None = None,
    couple: Couple | None = None,
) -> LatentPair:
    """Follow the schedule from its first noise level to its last.

    Switching gradients off is left to the caller.

    Args:
        velocity_function: the model with its prompts and conditions; or one for each clip, which is asked for that clip
            alone: then no clip depends on those beside it, not even in where adaptive guidance ends.
        latents: at the first noise level of the schedule; noise, or clean where a modality is held.
        schedule: noise levels of both modalities.
        guidance: None for no guidance.
        sampler: "euler" or "unipc".
        boundary_ratio: see `plan_steps`.
        on_step: see `OnStep`.
        watch: shown each step behind `on_step`; changes nothing.
        broadcast_flag: gives every process rank 0's decision on whether adaptive guidance ends.
        is_stopped: asked before each step; once it says so, the latents of that moment are returned.
        resuming: where to go on, and who is given states to go on from; a run that goes on ends with the same bits.
        holds: what is known of the clips and comes back as the same bits, see `mova.diffusion.holds`. Of a modality
            that is held in part, `latents` are noise all over. None holds nothing but what the schedule does.
        couple: lets the clips agree on their velocities at each step; None leaves each to itself.

    Returns:
        Latents at the last noise level, float32, on the device of `latents`.

    Raises:
        ConfigError: an unknown sampler, a value outside its range, another number of functions than of clips, or holds
            that do not fit the schedule, before the first call.
        GeometryError: known latents of another shape, likewise.
        StateError: a state of another run, likewise.
        NumericalError: latents that are not finite; the text names the step. On a GPU it may come some steps later.
    """
    guidance, resuming = guidance or Guidance(), resuming or _NOT_RESUMING
    plan = plan_steps(schedule, guidance, boundary_ratio)
    solver = make_sampler(sampler, schedule)
    current = LatentPair(video=latents.video.float(), audio=latents.audio.float())
    functions = velocity_function if isinstance(velocity_function, Sequence) else [velocity_function]
    if len(functions) not in (1, len(current.video)):
        raise ConfigError(f"{len(current.video)} clips need one function or one each, got {len(functions)}")
    regions = HeldRegions(holds or _NO_HOLDS, current, schedule)
    parts = _parts(functions, plan, schedule, guidance.tolerance, broadcast_flag, regions)
    keeper = _Keeper(resuming, _stateful(solver, parts, resuming) | ({"holds": regions} if holds else {}), len(plan))
    current = keeper.begin(regions.put(0, current))
    check = FiniteCheck()
    check.note(current, f"before step {keeper.first + 1}" if keeper.first else "before the first step")
    device = current.video.device
    # Moved to the device once, not once per step.
    video_timesteps, audio_timesteps = schedule.video_timesteps.to(device), schedule.audio_timesteps.to(device)

    for index, step in list(enumerate(plan))[keeper.first :]:
        if is_stopped():
            keeper.keep(index, current, check)
            break
        times = video_timesteps[index], audio_timesteps[index]
        pieces = zip(parts, _pieces(current, len(parts)), strict=True)
        predicted = _joined([part.predict(index, step.expert, piece, times) for part, piece in pieces])
        velocities = regions.velocities(predicted if couple is None else couple(predicted))
        # A multistep solver keeps its history where guidance ends: by then guided and unguided velocities are close.
        before, current = current, regions.put(index + 1, solver.step(index, current, velocities))
        check.note(current, f"after step {index + 1} of {len(plan)} ({step.expert} expert)")
        replaced = on_step(index + 1, len(plan), current) if on_step else None
        if replaced is not None:
            current = regions.put(index + 1, LatentPair(video=replaced.video.float(), audio=replaced.audio.float()))
            solver.restart(index + 1)
        if watch is not None:
            sigmas = float(schedule.video_sigmas[index]), float(schedule.audio_sigmas[index])
            watch(SamplingStep(index + 1, len(plan), current, before, velocities, *sigmas))
        if resuming.is_due(index + 1, len(plan)):
            keeper.keep(index + 1, current, check)
    check.finish()
    return current


_NOT_RESUMING: Final = Resuming()
_NO_HOLDS: Final = Holds()


@dataclass(eq=False)
class _Keeper:
    """Takes and puts back the state of a loop.

    Attributes:
        resuming: as asked for.
        parts: all that has a state.
        total: steps of the run.
        first: index of the first step; after `begin`.
        kept: steps done at the last state.
    """

    resuming: Resuming
    parts: Mapping[str, Stateful]
    total: int
    first: int = 0
    kept: int = 0

    def begin(self, latents: LatentPair) -> LatentPair:
        """Return the latents to begin with."""
        start = self.resuming.start
        if start is None:
            return latents
        begun = start.load_into(self.parts, self.total, latents)
        self.first = self.kept = start.done
        return begun

    def keep(self, done: int, latents: LatentPair, check: FiniteCheck) -> None:
        """Hand over the state after so many steps, once."""
        if self.resuming.on_state is None or done == self.kept:
            return
        # A state with bad numbers would spoil every run that goes on from it.
        check.finish()
        self.kept = done
        parts = {name: part.state() for name, part in self.parts.items()}
        self.resuming.on_state(LoopState(done, self.total, latents, parts))


@dataclass(frozen=True, eq=False)
class _Part:
    """What is asked for velocities together: a whole batch, or one clip of it."""

    function: VelocityFunction
    adaptive: AdaptiveGuidance
    regions: HeldRegions

    def predict(
        self, index: int, expert: Expert, latents: LatentPair, times: tuple[torch.Tensor, torch.Tensor]
    ) -> Velocities:
        """Return the guided velocities of a step; times are those of video and audio, without dimensions."""
        mix = self.adaptive.mix(index)
        video_timestep, audio_timestep = (time.expand(len(latents.video)) for time in times)
        predictions = self.function(mix.branches, latents, video_timestep, audio_timestep, expert)
        # What is held agrees with everything; it must not speak for what is not.
        self.adaptive.compare(index, [self.regions.free(one) for one in predictions], self.regions.free(latents))
        return mix.combine(predictions)


def _parts(
    functions: Sequence[VelocityFunction],
    plan: Sequence[StepPlan],
    schedule: PairedSchedule,
    tolerance: float,
    broadcast_flag: BroadcastFlag,
    regions: HeldRegions,
) -> list[_Part]:
    pairs = [(one.expert, one.mix) for one in plan]
    return [
        _Part(function, AdaptiveGuidance(pairs, schedule, tolerance, broadcast_flag), regions) for function in functions
    ]


def _stateful(solver: Sampler, parts: Sequence[_Part], resuming: Resuming) -> dict[str, Stateful]:
    guidance = {f"guidance.{place}": part.adaptive for place, part in enumerate(parts)}
    return {"solver": solver, **guidance, **resuming.parts}


def _pieces(latents: LatentPair, count: int) -> list[LatentPair]:
    if count == 1:
        return [latents]
    return [LatentPair(*piece) for piece in zip(latents.video.split(1), latents.audio.split(1), strict=True)]


def _joined(velocities: Sequence[Velocities]) -> Velocities:
    if len(velocities) == 1:
        return velocities[0]
    return Velocities(*(torch.cat([getattr(one, name) for one in velocities]) for name in ("video", "audio")))
