"""Euler and UniPC against flows whose end is known in closed form."""

import pytest
import torch

from mova.diffusion.flow import clean_from_velocity
from mova.diffusion.sampler import make_sampler
from mova.diffusion.schedule import PairedFlowMatchScheduler, PairedSchedule
from mova.errors import ConfigError
from mova.types import LatentPair, Velocities

SCHEDULER = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True)
MEAN, SPREAD = 1.2, 0.4


def noise(batch_size: int = 2) -> LatentPair:
    generator = torch.Generator().manual_seed(0)
    return LatentPair(
        video=torch.randn(batch_size, 2, 3, 4, 4, generator=generator),
        audio=torch.randn(batch_size, 4, 10, generator=generator),
    )


def gaussian_velocity(latents: torch.Tensor, sigma: float) -> torch.Tensor:
    """The exact velocity where the data are normal with MEAN and SPREAD: noise n ends at MEAN + SPREAD * n."""
    variance = (1 - sigma) ** 2 * SPREAD**2 + sigma**2
    centred = latents - (1 - sigma) * MEAN
    return sigma / variance * centred - MEAN - (1 - sigma) * SPREAD**2 / variance * centred


def run(name: str, schedule: PairedSchedule, start: LatentPair) -> LatentPair:
    sampler, latents = make_sampler(name, schedule), start
    for index in range(schedule.num_inference_steps):
        velocities = Velocities(
            video=gaussian_velocity(latents.video, schedule.video_sigmas[index].item()),
            audio=gaussian_velocity(latents.audio, schedule.audio_sigmas[index].item()),
        )
        latents = sampler.step(index, latents, velocities)
    return latents


def error(name: str, steps: int) -> tuple[float, float]:
    start = noise()
    end = run(name, SCHEDULER.make_schedule(steps, audio_shift=3.0), start)
    return (
        (end.video - (MEAN + SPREAD * start.video)).square().mean().sqrt().item(),
        (end.audio - (MEAN + SPREAD * start.audio)).square().mean().sqrt().item(),
    )


def test_euler_error_falls_with_the_number_of_steps():
    coarse, fine = error("euler", 32), error("euler", 128)
    for modality in (0, 1):
        assert coarse[modality] / fine[modality] == pytest.approx(4, rel=0.25)


def test_unipc_is_second_order_and_needs_half_the_steps_of_euler():
    coarse, fine = error("unipc", 24), error("unipc", 48)
    half, euler = error("unipc", 32), error("euler", 64)
    for modality in (0, 1):
        assert coarse[modality] / fine[modality] > 4
        assert half[modality] < euler[modality]


@pytest.mark.parametrize("name", ["euler", "unipc"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_straight_flow_is_followed_exactly_by_any_number_of_steps(name, steps):
    start, clean = noise(), LatentPair(video=torch.full((2, 2, 3, 4, 4), 0.5), audio=torch.full((2, 4, 10), -2.0))
    schedule = SCHEDULER.make_schedule(steps, audio_shift=2.0)
    sampler, latents = make_sampler(name, schedule), start
    for index in range(steps):
        straight = Velocities(video=start.video - clean.video, audio=start.audio - clean.audio)
        latents = sampler.step(index, latents, straight)
    torch.testing.assert_close(latents.video, clean.video, atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.audio, clean.audio, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["euler", "unipc"])
def test_modalities_follow_their_own_columns(name):
    start = noise()
    both = run(name, SCHEDULER.make_schedule(6, audio_shift=1.5), start)
    same = run(name, SCHEDULER.make_schedule(6), start)
    swapped = run(name, SCHEDULER.make_schedule(6, video_shift=1.5, audio_shift=1.5), start)
    assert torch.equal(both.video, same.video)
    assert torch.equal(both.audio, swapped.audio)
    assert not torch.allclose(both.audio, same.audio)


@pytest.mark.parametrize("name", ["euler", "unipc"])
@pytest.mark.parametrize("held", ["video", "audio"])
def test_held_modality_comes_back_bit_for_bit_whatever_is_predicted_for_it(name, held):
    schedule, start = SCHEDULER.make_schedule(5, **{f"hold_{held}": True}), noise()
    sampler, latents = make_sampler(name, schedule), start
    for index in range(5):
        velocities = {"video": torch.ones_like(start.video), "audio": torch.ones_like(start.audio)}
        velocities[held] = velocities[held] * torch.nan
        latents = sampler.step(index, latents, Velocities(**velocities))
    free = "audio" if held == "video" else "video"
    assert torch.equal(getattr(latents, held), getattr(start, held))
    torch.testing.assert_close(getattr(latents, free), getattr(start, free) - 1, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["euler", "unipc"])
def test_samples_of_a_batch_do_not_see_each_other(name):
    schedule, start = SCHEDULER.make_schedule(5), noise(3)
    whole = run(name, schedule, start)
    for index in range(3):
        alone = run(name, schedule, LatentPair(start.video[index : index + 1], start.audio[index : index + 1]))
        torch.testing.assert_close(alone.video[0], whole.video[index])
        torch.testing.assert_close(alone.audio[0], whole.audio[index])


def test_restarted_unipc_forgets_what_came_before():
    schedule, start = SCHEDULER.make_schedule(6), noise()
    used, fresh = make_sampler("unipc", schedule), make_sampler("unipc", schedule)
    latents = start
    for index in range(3):
        velocities = Velocities(video=torch.ones_like(latents.video), audio=-torch.ones_like(latents.audio))
        latents = used.step(index, latents, velocities)
    used.restart(3)
    fresh.restart(3)
    velocities = Velocities(video=start.video.square(), audio=start.audio.square())
    stepped = used.step(3, start, velocities)
    assert torch.equal(stepped.video, fresh.step(3, start, velocities).video)
    # The first step after a restart is a first-order one, from the right noise level.
    sigma, after = schedule.video_sigmas[3].item(), schedule.video_sigmas[4].item()
    clean = clean_from_velocity(start.video, velocities.video, torch.full((2,), sigma))
    expected = clean + after * velocities.video
    torch.testing.assert_close(stepped.video, expected, atol=1e-4, rtol=1e-4)


def test_unknown_sampler_is_refused():
    with pytest.raises(ConfigError, match=r"one of \('euler', 'unipc'\), got 'ddim'"):
        make_sampler("ddim", SCHEDULER.make_schedule(3))


@pytest.mark.parametrize("option", ["reverse_sigmas", "inverse_timesteps"])
def test_unipc_refuses_schedules_that_do_not_end_clean(option):
    schedule = PairedFlowMatchScheduler(**{option: True}).make_schedule(4)
    with pytest.raises(ConfigError, match=r"fall strictly and end at 0.*use 'euler'"):
        make_sampler("unipc", schedule)
    assert run("euler", schedule, noise()).video.isfinite().all()
