"""Noise levels for training, and the part of them that each video expert owns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch

from mova.diffusion.flow import shift_sigma
from mova.diffusion.schedule import PairedFlowMatchScheduler, bell_weights, nearest_sigmas
from mova.errors import ConfigError
from mova.names import EXPERTS, Expert

Distribution = Literal["uniform", "logit_normal"]
Weighting = Literal["none", "min_snr", "bell"]


@dataclass(frozen=True)
class ExpertRange:
    """Noise levels that one video expert sees: low <= sigma <= high (both ends in [0, 1])."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ConfigError(f"an expert's range must satisfy 0 <= low < high <= 1, got {self.low} and {self.high}")


def expert_ranges(boundary_ratio: float) -> dict[Expert, ExpertRange]:
    """Split [0, 1] between the experts: the high-noise one owns sigma >= boundary_ratio (0.9 in the release)."""
    if not 0 < boundary_ratio < 1:
        raise ConfigError(f"boundary_ratio must lie between 0 and 1, got {boundary_ratio}; the release uses 0.9")
    ranges = ExpertRange(boundary_ratio, 1.0), ExpertRange(0.0, boundary_ratio)
    return dict(zip(EXPERTS, ranges, strict=True))


def sample_sigmas(
    batch_size: int,
    *,
    shift: float,
    generator: torch.Generator | None = None,
    within: ExpertRange | None = None,
    distribution: Distribution = "uniform",
) -> torch.Tensor:
    """Draw one noise level per sample: a time by `distribution`, then shifted (paper 3.3, dual sigma shift).

    Restricted to an expert's range, the draw follows the same density cut to that range.

    Args:
        batch_size: B.
        shift: shift of the sigma, positive.
        generator: CPU generator; None uses the global one.
        within: range of sigma to stay in.
        distribution: distribution of the unshifted time; `logit_normal` is the sigmoid of a standard normal.

    Returns:
        (B,) float32 on the CPU, in (0, 1).
    """
    if shift <= 0:
        raise ConfigError(f"shift must be positive, got {shift}")
    low, high = (_unshift(within.low, shift), _unshift(within.high, shift)) if within else (0.0, 1.0)
    uniform = torch.rand(batch_size, generator=generator, dtype=torch.float64)
    if distribution == "uniform":
        times = low + (high - low) * uniform
    else:
        # Inverse transform, so that the cut to [low, high] is exact: no draw is thrown away.
        lowest, highest = _normal_cdf(_logit(low)), _normal_cdf(_logit(high))
        times = torch.sigmoid(_normal_quantile(lowest + (highest - lowest) * uniform))
    return shift_sigma(times, shift).clamp(1e-5, 1 - 1e-7).float()


def loss_weight(sigma: torch.Tensor, weighting: Weighting, *, gamma: float = 5.0, shift: float = 1.0) -> torch.Tensor:
    """Return the weight of each sample's velocity loss by its noise level.

    Args:
        sigma: (B,) noise levels in (0, 1).
        weighting: "none": 1 (paper). "min_snr": the signal-to-noise ratio ((1 - sigma) / sigma)^2 is cut at `gamma` and
            weighs the error of the clean latents, the velocity's times sigma^2 (Hang et al., arXiv 2303.09556).
            "bell": as the released trainer, see `bell_weights`.
        gamma: parameter of "min_snr", positive.
        shift: for "bell": the shift that the noise levels are drawn with.

    Returns:
        (B,) float32.
    """
    if weighting == "none":
        return torch.ones_like(sigma, dtype=torch.float32)
    if weighting == "bell":
        timesteps, weights = _bell_table(shift)
        return nearest_sigmas(1000 * sigma.float().cpu(), timesteps, weights)
    level = sigma.double()
    ratio = ((1 - level) / level).square()
    return (ratio.clamp(max=gamma) * level.square()).float()


def low_noise_share(boundary_ratio: float, shift: float) -> float:
    """Return the share of uniform times whose shifted noise level lies below the boundary between the experts.

    With boundary 0.9 and shift 5 it is 0.643; the rest, 0.357, is the high-noise expert's.
    """
    return _unshift(boundary_ratio, shift)


@lru_cache(maxsize=4)
def _bell_table(shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the released trainer's 1000 timesteps at a shift and the weight of each."""
    scheduler = PairedFlowMatchScheduler(shift=shift, sigma_min=0.0, extra_one_step=True)
    timesteps = scheduler.make_schedule(1000).video_timesteps
    return timesteps, bell_weights(timesteps)


def _unshift(sigma: float, shift: float) -> float:
    return sigma / (shift - (shift - 1) * sigma)


def _logit(value: float) -> torch.Tensor:
    return torch.logit(torch.tensor(value, dtype=torch.float64), eps=1e-12)


def _normal_cdf(value: torch.Tensor) -> torch.Tensor:
    probability: torch.Tensor = torch.special.ndtr(value)
    return probability


def _normal_quantile(value: torch.Tensor) -> torch.Tensor:
    quantile: torch.Tensor = torch.special.ndtri(value)
    return quantile
