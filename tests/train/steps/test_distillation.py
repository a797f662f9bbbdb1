"""Phases, targets and loss against values worked out by hand."""

import pytest
import torch

from mova.diffusion.sampler import make_sampler
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import ConfigError
from mova.train.steps.distillation import PhaseGrid, distillation_loss, jump, mean_velocity, phase_grid, phase_target
from mova.types import LatentPair, Velocities

RELEASED = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True)


def grid(steps=2, teacher_steps=6, video_shift=5.0, audio_shift=1.0) -> PhaseGrid:
    return phase_grid(
        RELEASED, steps=steps, teacher_steps=teacher_steps, video_shift=video_shift, audio_shift=audio_shift
    )


def pair(video: float, audio: float, count: int = 1) -> LatentPair:
    return LatentPair(torch.full((count, 1, 2, 1, 1), video), torch.full((count, 1, 3), audio))


@pytest.mark.parametrize(("steps", "teacher_steps"), [(4, 12), (4, 20), (6, 24), (8, 24), (1, 50)])
def test_phases_begin_where_a_sampler_of_as_many_steps_does(steps, teacher_steps):
    """Every level that sampling asks for is the first of a phase, in both columns; the last phase ends clean."""
    found = grid(steps, teacher_steps)
    asked = RELEASED.make_schedule(steps, video_shift=5.0, audio_shift=1.0)
    starts = [index for index in range(teacher_steps) if index % found.length == 0]
    assert [found.schedule.video_sigmas[i].item() for i in starts] == pytest.approx(asked.video_sigmas[:-1].tolist())
    assert [found.schedule.audio_sigmas[i].item() for i in starts] == pytest.approx(asked.audio_sigmas[:-1].tolist())
    ends = [found.schedule.video_sigmas[found.end_of(index)].item() for index in starts]
    assert ends == pytest.approx(asked.video_sigmas[1:].tolist())
    assert ends[-1] == 0.0


def test_every_level_of_a_phase_leads_to_the_same_end():
    found = grid(2, 6)
    assert [found.end_of(index) for index in range(6)] == [3, 3, 3, 6, 6, 6]
    # Times 1, 5/6, ... 0; video 5t / (1 + 4t), audio t.
    assert found.piece(2, 3).video_sigmas.tolist() == pytest.approx([10 / 11, 5 / 6])
    assert found.piece(2, 3).audio_sigmas.tolist() == pytest.approx([2 / 3, 1 / 2])
    assert found.piece(2, 3).video_timesteps.tolist() == pytest.approx([10_000 / 11])


def test_a_scheduler_of_which_the_levels_do_not_nest_is_refused():
    apart = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=False)
    with pytest.raises(ConfigError, match=r"levels of 4 steps must be among those of 12, .*set extra_one_step"):
        phase_grid(apart, steps=4, teacher_steps=12, video_shift=5.0, audio_shift=5.0)


def test_the_teachers_target_is_its_own_steps_to_the_end():
    found, asked = grid(2, 6), []

    def teacher(latents, piece):
        asked.append(piece.audio_timesteps.tolist())
        return LatentPair(latents.video + 1, latents.audio - 1)

    end = phase_target(found, 3, pair(2.0, 5.0), teacher, None)
    assert (end.video.unique().item(), end.audio.unique().item()) == (3.0, 4.0)
    assert asked == [pytest.approx([500, 1000 / 3, 500 / 3])]


def test_the_consistency_target_is_one_step_of_the_teacher_and_the_students_jump():
    found, asked = grid(2, 6), []

    def walk(name, factor):
        def step(latents, piece):
            asked.append((name, piece.num_inference_steps, round(piece.audio_sigmas[-1].item(), 4)))
            return LatentPair(latents.video * factor, latents.audio * factor)

        return step

    end = phase_target(found, 1, pair(1.0, 2.0), walk("teacher", 10), walk("student", 3))
    assert (end.video.unique().item(), end.audio.unique().item()) == (30.0, 60.0)
    assert asked == [("teacher", 1, 0.6667), ("student", 1, 0.5)]
    # One step before the end there is nothing left to jump: the boundary condition.
    asked.clear()
    end = phase_target(found, 5, pair(1.0, 2.0), walk("teacher", 10), walk("student", 3))
    assert end.video.unique().item() == 10.0
    assert asked == [("teacher", 1, 0.0)]


def test_a_jump_along_the_mean_velocity_leads_to_the_end_as_the_sampler_does():
    piece = grid(2, 6).piece(3, 6)
    start, end = pair(2.0, 5.0), pair(-1.0, 0.5)
    velocities = mean_velocity(start, end, piece)
    # From 5/6 to 0 in the picture, from 1/2 to 0 in the sound.
    assert velocities.video.unique().item() == pytest.approx(3.0 / (5 / 6))
    assert velocities.audio.unique().item() == pytest.approx(4.5 / 0.5)
    landed = jump(start, velocities, piece)
    torch.testing.assert_close(landed.video, end.video)
    torch.testing.assert_close(landed.audio, end.audio)
    sampler = make_sampler("euler", RELEASED.make_schedule(2, video_shift=5.0, audio_shift=1.0))
    sampled = sampler.step(1, start, velocities)
    torch.testing.assert_close(sampled.video, end.video)
    torch.testing.assert_close(sampled.audio, end.audio)


def test_the_loss_is_a_mean_of_squares_or_of_pseudo_huber_distances():
    target = Velocities(torch.zeros(2, 1, 2, 1, 1), torch.zeros(2, 1, 3))
    found = Velocities(torch.tensor([3.0, 4.0, 0.0, 12.0]).view(2, 1, 2, 1, 1), torch.ones(2, 1, 3))
    squares = distillation_loss(found, target)
    assert squares.video.tolist() == [12.5, 72.0]
    assert squares.audio.tolist() == [1.0, 1.0]
    # sqrt(3^2 + 4^2) - 4 = 1 and sqrt(4^2 + 4^2) - 4.
    huber = distillation_loss(found, target, huber=4.0)
    assert huber.video[0].item() == pytest.approx((1 + 32**0.5 - 4) / 2)
    assert huber.audio.tolist() == pytest.approx([17**0.5 - 4] * 2)


def test_only_what_counts_is_compared():
    target = Velocities(torch.zeros(2, 1, 2, 1, 1), torch.zeros(2, 1, 3))
    found = Velocities(torch.tensor([1.0, 9.0, 9.0, 9.0]).view(2, 1, 2, 1, 1), torch.full((2, 1, 3), 2.0))
    losses = distillation_loss(
        found,
        target,
        video_counted=torch.tensor([[1.0, 0.0], [0.0, 0.0]]),
        audio_counted=torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]),
    )
    assert losses.video.tolist() == [1.0, 0.0]
    assert losses.audio.tolist() == [0.0, 4.0]
