"""The straight line between clean latents and noise."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.diffusion.flow import clean_from_velocity, interpolate, shift_sigma, velocity_loss, velocity_target


def pair(batch_size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, batch_size, 2, 3, 4, generator=generator)
    return clean, noise


def test_line_starts_clean_and_ends_in_noise_for_each_sample():
    clean, noise = pair()
    noisy = interpolate(clean, noise, torch.tensor([0.0, 1.0, 0.25]))
    assert torch.equal(noisy[0], clean[0])
    assert torch.equal(noisy[1], noise[1])
    torch.testing.assert_close(noisy[2], 0.75 * clean[2] + 0.25 * noise[2])


def test_velocity_is_the_derivative_of_the_line():
    clean, noise = pair()
    sigma = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    tangent = torch.ones_like(sigma)
    _, derivative = torch.autograd.functional.jvp(
        lambda level: interpolate(clean.double(), noise.double(), level), sigma, tangent
    )
    torch.testing.assert_close(derivative, velocity_target(clean, noise).double())


def test_velocity_leads_back_to_the_clean_latents():
    clean, noise = pair()
    sigma = torch.tensor([0.0, 0.4, 1.0])
    noisy = interpolate(clean, noise, sigma)
    torch.testing.assert_close(clean_from_velocity(noisy, velocity_target(clean, noise), sigma), clean)


@settings(max_examples=50, deadline=None)
@given(t=st.floats(0, 1), shift=st.floats(0.1, 15))
def test_shift_keeps_the_ends_and_is_undone_by_its_inverse(t, shift):
    times = torch.tensor([0.0, t, 1.0], dtype=torch.float64)
    shifted = shift_sigma(times, shift)
    assert shifted[0] == 0
    assert shifted[2] == pytest.approx(1.0)
    assert 0 <= shifted[1] <= 1 + 1e-12
    torch.testing.assert_close(shift_sigma(shifted, 1 / shift), times)
    if shift > 1:
        assert shifted[1] >= t - 1e-12


def test_loss_is_the_mean_of_each_sample():
    target = torch.zeros(2, 3, 4)
    predicted = torch.stack([torch.full((3, 4), 2.0), torch.full((3, 4), 0.5)])
    assert velocity_loss(predicted, target).tolist() == [4.0, 0.25]


def test_masked_elements_do_not_count():
    target, predicted = torch.zeros(3, 2, 4), torch.ones(3, 2, 4)
    predicted[:, :, 2:] = 100.0
    mask = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(3, 1, 4).clone()
    mask[2] = 0  # nothing counts in the last sample
    assert velocity_loss(predicted, target, mask).tolist() == [1.0, 1.0, 0.0]


def test_loss_of_half_precision_predictions_is_computed_in_float32():
    predicted = torch.full((1, 4096), 0.1, dtype=torch.bfloat16)
    loss = velocity_loss(predicted, torch.zeros(1, 4096))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(predicted[0, 0].item() ** 2, rel=1e-5)
