"""Noise levels for training: distribution, shift and the experts' shares."""

import pytest
import torch

from mova.diffusion.timesteps import ExpertRange, expert_ranges, loss_weight, low_noise_share, sample_sigmas
from mova.errors import ConfigError

NUM_DRAWS = 20_000


def draws(**options) -> torch.Tensor:
    return sample_sigmas(NUM_DRAWS, generator=torch.Generator().manual_seed(3), **options)


def test_uniform_draws_without_shift_are_uniform():
    sigmas = draws(shift=1.0)
    assert sigmas.shape == (NUM_DRAWS,)
    assert sigmas.dtype == torch.float32
    quantiles = torch.quantile(sigmas, torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(quantiles, torch.tensor([0.1, 0.5, 0.9]), atol=0.015, rtol=0)


def test_draws_reach_both_ends_without_touching_them():
    sigmas = draws(shift=1.0)
    assert 0 < sigmas.min() < 1e-3
    assert 1 - 1e-3 < sigmas.max() < 1


def test_shift_gives_the_high_noise_expert_its_published_share():
    # mova-facts 2.3: with shift 5 the boundary 0.9 splits the training index at 0.358, with shift 3 at 0.25.
    assert (draws(shift=5.0) >= 0.9).float().mean().item() == pytest.approx(0.357, abs=0.015)
    assert (draws(shift=3.0) >= 0.9).float().mean().item() == pytest.approx(0.25, abs=0.015)


def test_logit_normal_draws_have_the_quantiles_of_a_sigmoid_of_a_normal():
    quantiles = torch.quantile(draws(shift=1.0, distribution="logit_normal"), torch.tensor([0.159, 0.5, 0.841]))
    torch.testing.assert_close(quantiles, torch.sigmoid(torch.tensor([-1.0, 0.0, 1.0])), atol=0.015, rtol=0)


@pytest.mark.parametrize("distribution", ["uniform", "logit_normal"])
@pytest.mark.parametrize("expert", ["high_noise", "low_noise"])
def test_draws_of_an_expert_are_the_free_draws_cut_to_its_range(distribution, expert):
    within = expert_ranges(0.9)[expert]
    cut = draws(shift=5.0, within=within, distribution=distribution)
    assert (cut >= within.low).all()
    assert (cut <= within.high).all()
    free = draws(shift=5.0, distribution=distribution)
    free = free[(free >= within.low) & (free <= within.high)]
    levels = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    spread = within.high - within.low
    torch.testing.assert_close(
        torch.quantile(cut, levels) / spread, torch.quantile(free, levels) / spread, atol=0.03, rtol=0
    )


def test_samples_of_a_batch_differ_and_a_generator_repeats_them():
    first, second = (sample_sigmas(8, shift=5.0, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert len(set(first.tolist())) == 8
    assert not torch.equal(first, sample_sigmas(8, shift=5.0, generator=torch.Generator().manual_seed(2)))


def test_ranges_of_the_experts_meet_at_the_boundary():
    ranges = expert_ranges(0.875)
    assert ranges["low_noise"] == ExpertRange(0.0, 0.875)
    assert ranges["high_noise"] == ExpertRange(0.875, 1.0)


@pytest.mark.parametrize("boundary_ratio", [0.0, 1.0, -0.5, 900.0])
def test_boundary_outside_the_open_interval_is_refused(boundary_ratio):
    with pytest.raises(ConfigError, match=f"between 0 and 1, got {boundary_ratio}"):
        expert_ranges(boundary_ratio)


def test_empty_ranges_and_wrong_shifts_are_refused():
    with pytest.raises(ConfigError, match="low < high"):
        ExpertRange(0.5, 0.5)
    with pytest.raises(ConfigError, match="shift must be positive, got 0"):
        sample_sigmas(2, shift=0)


def test_the_share_of_the_low_noise_expert_is_the_published_one():
    assert low_noise_share(0.9, 5.0) == pytest.approx(1 - 0.357, abs=1e-3)
    assert low_noise_share(0.9, 3.0) == pytest.approx(0.75)
    assert low_noise_share(0.9, 1.0) == pytest.approx(0.9)


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_a_bell_weighs_levels_as_drawn_by_one_on_average_and_the_ends_least(shift):
    sigma = sample_sigmas(20_000, shift=shift, generator=torch.Generator().manual_seed(0))
    weights = loss_weight(sigma, "bell", shift=shift)
    assert weights.shape == sigma.shape
    assert float(weights.mean()) == pytest.approx(1.0, abs=0.02)
    ends = loss_weight(torch.tensor([1e-5, 0.5, 1 - 1e-5]), "bell", shift=shift)
    assert ends[1] > 5 * ends[[0, 2]].max()
    assert loss_weight(torch.tensor([0.5]), "bell", shift=shift) == weights.max()


def test_loss_weights_against_values_by_hand():
    sigma = torch.tensor([0.1, 0.5, 0.9])
    assert loss_weight(sigma, "none").tolist() == [1.0, 1.0, 1.0]
    # Ratios 81 (cut to 5), 1 and 1/81, times sigma squared.
    expected = [5 * 0.01, 1 * 0.25, 0.01]
    assert loss_weight(sigma, "min_snr", gamma=5.0).tolist() == pytest.approx(expected, rel=1e-5)
    assert loss_weight(sigma, "min_snr", gamma=100.0).tolist() == pytest.approx([0.81, 0.25, 0.01], rel=1e-5)
