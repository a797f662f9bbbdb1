"""Few-step distillation in phases: grid, targets and loss as pure functions of latents.

The schedule is cut into K phases. The student learns to jump from a noise level of a phase to the phase's end, so that
K Euler steps of the ordinary sampler, without guidance, lead from noise to a clip. Both modalities walk their own
column of the paired schedule, at the same place of it.

Two targets. In consistency form (Song et al., arXiv 2303.01469; with guidance folded in and steps of the teacher's
solver between the levels, Luo et al., arXiv 2310.04378; cut into phases, Wang et al., arXiv 2405.18407) the student
must land where it lands itself one step of the teacher later; its own prediction there is taken without gradient, as is
(Song and Dhariwal, arXiv 2310.14189). In the other form the teacher walks all the way to the phase's end (Salimans and
Ho, arXiv 2202.00512): dearer for each sample, but nothing that is learned enters the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mova.diffusion.schedule import PairedFlowMatchScheduler, PairedSchedule
from mova.errors import ConfigError
from mova.train.steps.objective import JointLoss
from mova.types import LatentPair, Velocities

Walk = Callable[[LatentPair, PairedSchedule], LatentPair]
"""Leads latents from the first noise level of a piece of the schedule to its last."""


@dataclass(frozen=True, eq=False)
class PhaseGrid:
    """A fine schedule cut into phases of equally many steps.

    Attributes:
        schedule: noise levels of the teacher's N steps.
        num_phases: K, steps of the student; divides N.
    """

    schedule: PairedSchedule
    num_phases: int

    @property
    def length(self) -> int:
        """Steps of a phase."""
        return self.schedule.num_inference_steps // self.num_phases

    def end_of(self, index: int) -> int:
        """Return the level (0 to N) at which the phase of a step (0 to N - 1) ends."""
        return (index // self.length + 1) * self.length

    def piece(self, first: int, last: int) -> PairedSchedule:
        """Return the steps from one level to a later one."""
        whole = self.schedule
        return PairedSchedule(
            video_sigmas=whole.video_sigmas[first : last + 1],
            audio_sigmas=whole.audio_sigmas[first : last + 1],
            video_timesteps=whole.video_timesteps[first:last],
            audio_timesteps=whole.audio_timesteps[first:last],
            num_train_timesteps=whole.num_train_timesteps,
        )


def phase_grid(
    scheduler: PairedFlowMatchScheduler, *, steps: int, teacher_steps: int, video_shift: float, audio_shift: float
) -> PhaseGrid:
    """Return the teacher's schedule in phases that begin at the levels of the student's.

    Args:
        scheduler: the model's, which makes the noise levels.
        steps: K.
        teacher_steps: N, a multiple of K.
        video_shift, audio_shift: shifts of both schedules.

    Raises:
        ConfigError: a scheduler whose schedule of K steps is no part of that of N steps, so that sampling in K steps
            would ask for levels that the student never saw. `extra_one_step` makes them nest.
    """
    coarse, fine = (
        scheduler.make_schedule(count, video_shift=video_shift, audio_shift=audio_shift)
        for count in (steps, teacher_steps)
    )
    length = teacher_steps // steps
    for name in ("video_sigmas", "audio_sigmas"):
        wanted, found = getattr(coarse, name), getattr(fine, name)[::length]
        if wanted.shape != found.shape or not torch.allclose(wanted, found, rtol=0, atol=1e-6):
            raise ConfigError(
                f"the levels of {steps} steps must be among those of {teacher_steps}, got {name} "
                f"{[round(level, 4) for level in wanted.tolist()]} and {[round(level, 4) for level in found.tolist()]};"
                " set extra_one_step in the scheduler's config"
            )
    return PhaseGrid(fine, steps)


def phase_target(grid: PhaseGrid, index: int, start: LatentPair, teacher: Walk, student: Walk | None) -> LatentPair:
    """Return where the student should be at the end of the phase; call it without gradients.

    Args:
        grid: levels and phases.
        index: level of `start`, 0 to N - 1.
        start: noisy latents.
        teacher: takes its own steps.
        student: jumps in one; None lets the teacher walk all the way.
    """
    end = grid.end_of(index)
    if student is None:
        return teacher(start, grid.piece(index, end))
    nearer = teacher(start, grid.piece(index, index + 1))
    return nearer if index + 1 == end else student(nearer, grid.piece(index + 1, end))


def jump(start: LatentPair, velocities: Velocities, piece: PairedSchedule) -> LatentPair:
    """Return where one Euler step over a whole piece of the schedule leads."""
    return LatentPair(
        start.video + _span(piece.video_sigmas) * velocities.video.float(),
        start.audio + _span(piece.audio_sigmas) * velocities.audio.float(),
    )


def mean_velocity(start: LatentPair, end: LatentPair, piece: PairedSchedule) -> Velocities:
    """Return the velocities with which one Euler step over the piece leads from `start` to `end`."""
    return Velocities(
        (end.video - start.video) / _span(piece.video_sigmas), (end.audio - start.audio) / _span(piece.audio_sigmas)
    )


def distillation_loss(
    predicted: Velocities,
    target: Velocities,
    *,
    huber: float = 0.0,
    video_counted: torch.Tensor | None = None,
    audio_counted: torch.Tensor | None = None,
) -> JointLoss:
    """Compare velocities, which are distances at the phase's end divided by its width: wide phases weigh no more.

    Args:
        predicted, target: video (B, C, T, h, w) and audio (B, C, A).
        huber: c of the pseudo-Huber loss sqrt(error^2 + c^2) - c of each element; 0 is the squared error.
        video_counted: (B, T) 0 or 1, latent frames that count; all if not given.
        audio_counted: (B, A), likewise.

    Returns:
        Means over the elements of each sample; 0 for a sample of which none counts.
    """
    video_mask = None if video_counted is None else video_counted[:, None, :, None, None]
    audio_mask = None if audio_counted is None else audio_counted[:, None]
    return JointLoss(
        _mean_penalty(predicted.video, target.video, huber, video_mask),
        _mean_penalty(predicted.audio, target.audio, huber, audio_mask),
    )


def _mean_penalty(
    predicted: torch.Tensor, target: torch.Tensor, huber: float, mask: torch.Tensor | None
) -> torch.Tensor:
    penalty = (predicted.float() - target.float()).square()
    if huber:
        penalty = (penalty + huber**2).sqrt() - huber
    if mask is None:
        return penalty.flatten(1).mean(1)
    counted = mask.to(penalty.dtype).expand_as(penalty)
    return (penalty * counted).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp_min(1)


def _span(sigmas: torch.Tensor) -> float:
    return float(sigmas[-1]) - float(sigmas[0])
