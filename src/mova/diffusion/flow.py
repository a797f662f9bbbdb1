"""Flow matching between clean latents and noise (paper section 3, equations 1-3).

A latent at noise level sigma is `(1 - sigma) * clean + sigma * noise`; the model predicts the velocity
`noise - clean`, the derivative of that line with respect to sigma.
"""

from __future__ import annotations

import torch


def interpolate(clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mix clean latents with noise.

    Args:
        clean: (B, ...) clean latents.
        noise: (B, ...) standard normal noise of the same shape.
        sigma: (B,) noise levels in [0, 1].

    Returns:
        (B, ...) noisy latents.
    """
    level = _per_sample(sigma, clean)
    return (1 - level) * clean + level * noise


def velocity_target(clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return what the model learns to predict: (B, ...) noise minus clean."""
    return noise - clean


def clean_from_velocity(noisy: torch.Tensor, velocity: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Return the clean latents (B, ...) that a velocity at noise level sigma (B,) points to."""
    return noisy - _per_sample(sigma, noisy) * velocity


def shift_sigma(t: torch.Tensor, shift: float) -> torch.Tensor:
    """Move uniform times towards more noise (shift > 1) or less: shift * t / (1 + (shift - 1) * t).

    The form of the released code; it maps 0 to 0 and 1 to 1. (The printed equation 4 does not, see the fact sheet.)

    Args:
        t: times in [0, 1], any shape.
        shift: positive; 1 changes nothing.
    """
    return shift * t / (1 + (shift - 1) * t)


def velocity_loss(predicted: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Mean squared error of each sample, in float32.

    Args:
        predicted: (B, ...) velocities.
        target: (B, ...) velocities.
        mask: broadcastable to `target`; 1 where an element counts. A sample without any counted element has loss 0.

    Returns:
        (B,) float32.
    """
    error = (predicted.float() - target.float()).square()
    if mask is None:
        return error.flatten(1).mean(1)
    counted = mask.to(error.dtype).expand_as(error)
    return (error * counted).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp_min(1)


def _per_sample(sigma: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return sigma.view(-1, *(1,) * (like.ndim - 1))
