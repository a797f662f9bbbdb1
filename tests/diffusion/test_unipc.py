"""The solver against diffusers' scheduler of the same method."""

import pytest
import torch
from diffusers import UniPCMultistepScheduler

from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.diffusion.unipc import UniPC


def bent(latents: torch.Tensor, sigma: float) -> torch.Tensor:
    """A velocity that is not straight."""
    return latents.sin() + sigma**2 - 0.3 * latents


def theirs(sigmas: torch.Tensor, begin: int) -> UniPCMultistepScheduler:
    scheduler = UniPCMultistepScheduler(
        solver_order=2, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0
    )
    scheduler.set_timesteps(sigmas=sigmas[:-1].double().numpy())
    scheduler.set_begin_index(begin)
    return scheduler


@pytest.mark.parametrize("begin", [0, 3])
@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_every_step_is_that_of_diffusers(steps, begin):
    schedule = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True).make_schedule(steps)
    sigmas, begin = schedule.video_sigmas, min(begin, steps - 1)
    start = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    own, reference = UniPC(sigmas.double().tolist(), begin), theirs(sigmas, begin)
    latents = expected = start
    for index in range(begin, steps):
        latents = own.step(index, latents, bent(latents, sigmas[index].item()))
        velocity = bent(expected, sigmas[index].item())
        expected = reference.step(velocity, reference.timesteps[index], expected, return_dict=False)[0]
        torch.testing.assert_close(latents, expected, atol=2e-5, rtol=2e-5)
    assert (latents - start).abs().max() > 0.1


def test_a_straight_flow_ends_at_the_clean_latents():
    clean, noise = torch.full((1, 2), 0.5), torch.tensor([[1.0, -2.0]])
    solver, latents = UniPC([1.0, 0.7, 0.2, 0.0]), noise
    for index in range(3):
        latents = solver.step(index, latents, noise - clean)
    torch.testing.assert_close(latents, clean, atol=1e-5, rtol=0)
