"""The training objective of the joint model: one pure function of a batch and its random draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mova.diffusion.flow import interpolate, velocity_loss, velocity_target
from mova.types import LatentPair, Velocities


@dataclass(frozen=True)
class TrainingBatch:
    """Clean latents and conditions of B clips.

    Attributes:
        clean: video (B, C, T, h, w) and audio (B, C, A).
        condition: (B, 4 + C, T, h, w): mask and latents of the known frames.
        prompt_embeds: (B, P, D).
    """

    clean: LatentPair
    condition: torch.Tensor
    prompt_embeds: torch.Tensor


@dataclass(frozen=True)
class Draws:
    """The random part of a step.

    Attributes:
        noise: as the clean latents.
        video_sigma, audio_sigma: (B,) noise levels in (0, 1).
    """

    noise: LatentPair
    video_sigma: torch.Tensor
    audio_sigma: torch.Tensor


@dataclass(frozen=True)
class JointLoss:
    """Losses of each sample, (B,) float32."""

    video: torch.Tensor
    audio: torch.Tensor

    def total(self, audio_weight: float) -> torch.Tensor:
        """Return the mean over samples of video plus weighted audio (paper, table 7: weight 0.2)."""
        return self.video.mean() + audio_weight * self.audio.mean()


# Noisy video with its condition, noisy audio, both timesteps in [0, 1000], prompt embeddings.
JointForward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], Velocities]


def joint_loss(forward: JointForward, batch: TrainingBatch, draws: Draws) -> JointLoss:
    """Flow-matching losses of both modalities at their own noise levels (paper, equations 1 to 4).

    Args:
        forward: the joint model.
        batch: clean latents and conditions.
        draws: noise and noise levels.
    """
    noisy_video = interpolate(batch.clean.video, draws.noise.video, draws.video_sigma)
    noisy_audio = interpolate(batch.clean.audio, draws.noise.audio, draws.audio_sigma)
    velocities = forward(
        torch.cat((noisy_video, batch.condition), dim=1),
        noisy_audio,
        1000 * draws.video_sigma,
        1000 * draws.audio_sigma,
        batch.prompt_embeds,
    )
    return JointLoss(
        video=velocity_loss(velocities.video, velocity_target(batch.clean.video, draws.noise.video)),
        audio=velocity_loss(velocities.audio, velocity_target(batch.clean.audio, draws.noise.audio)),
    )
