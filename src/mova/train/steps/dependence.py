"""Figures of a joint model on held-out clips that need no sampling: velocity errors, and cross-modal dependence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from mova.names import Expert
from mova.train.steps.objective import Draws, JointForward, TrainingBatch, joint_loss
from mova.types import LatentPair

LEVELS = (0.3, 0.6, 0.95)
DEPENDENCE_SIGMA = 0.8
# Noise level of what is given clean; not quite 0, which training never draws.
_CLEAN = 1e-5


def velocity_figures(
    forward_of: Callable[[Expert], JointForward], batch: TrainingBatch, noise: LatentPair, boundary_ratio: float
) -> dict[str, float]:
    """Measure a batch of held-out clips; means over samples.

    Cross-modal dependence is the error of one modality at noise level 0.8, given the other one clean: the right one and
    that of another clip. A model that uses the other modality is better with the right one; the gap opens long before
    a sampled clip looks good.

    Args:
        forward_of: the joint model of an expert ("high_noise", "low_noise").
        batch: B clips, at least 2.
        noise: as the clean latents; the same at every validation.
        boundary_ratio: noise level of the video from which the high-noise expert is asked.

    Returns:
        `video_error_S` and `audio_error_S` for each of `LEVELS`; `audio_error_given_right_video`,
        `..._wrong_video`, `video_error_given_right_audio`, `..._wrong_audio`.
    """
    figures: dict[str, float] = {}
    for level in LEVELS:
        expert: Expert = "high_noise" if level >= boundary_ratio else "low_noise"
        losses = joint_loss(forward_of(expert), batch, _draws(noise, level, level))
        figures[f"video_error_{level}"] = float(losses.video.mean())
        figures[f"audio_error_{level}"] = float(losses.audio.mean())
    for name, shift in (("right", 0), ("wrong", 1)):
        clean = batch.clean
        other_video = replace(
            batch,
            clean=LatentPair(clean.video.roll(shift, 0), clean.audio),
            condition=batch.condition.roll(shift, 0),
        )
        losses = joint_loss(forward_of("low_noise"), other_video, _draws(noise, _CLEAN, DEPENDENCE_SIGMA))
        figures[f"audio_error_given_{name}_video"] = float(losses.audio.mean())
        other_audio = replace(batch, clean=LatentPair(clean.video, clean.audio.roll(shift, 0)))
        losses = joint_loss(forward_of("low_noise"), other_audio, _draws(noise, DEPENDENCE_SIGMA, _CLEAN))
        figures[f"video_error_given_{name}_audio"] = float(losses.video.mean())
    return figures


def _draws(noise: LatentPair, video_sigma: float, audio_sigma: float) -> Draws:
    count, device = len(noise.video), noise.video.device
    return Draws(
        noise, torch.full((count,), video_sigma, device=device), torch.full((count,), audio_sigma, device=device)
    )
