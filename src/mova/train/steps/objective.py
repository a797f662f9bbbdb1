"""The training objective of the joint model: one pure function of a batch and its random draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mova.device import Compute, autocast
from mova.diffusion.flow import interpolate, velocity_loss, velocity_target
from mova.models.experts import Experts
from mova.names import Expert
from mova.types import LatentPair, Velocities


@dataclass(frozen=True)
class TrainingBatch:
    """Clean latents and conditions of B clips.

    Attributes:
        clean: video (B, C, T, h, w) and audio (B, C, A).
        condition: (B, 4 + C, T, h, w): mask and latents of the known frames.
        prompt_embeds: (B, P, D).
        video_counted: (B, T) 0 or 1, latent frames that count; all of them if not given. A clip without video has
            none, one that is shorter than the others has zeros past its end.
        audio_counted: (B, A) 0 or 1, audio latents that count; all of them if not given.
    """

    clean: LatentPair
    condition: torch.Tensor
    prompt_embeds: torch.Tensor
    video_counted: torch.Tensor | None = None
    audio_counted: torch.Tensor | None = None


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
    """Losses of each sample, (B,) float32; 0 for a modality that the sample has not."""

    video: torch.Tensor
    audio: torch.Tensor


@dataclass(frozen=True)
class SampleCounts:
    """Samples of an optimiser step that have video, and that have audio; over all processes.

    The means of a step divide by these, so that its parts in processes and micro-batches add up to it.
    """

    video: int
    audio: int

    def share(self, losses: JointLoss, weights: JointLoss | None = None) -> JointLoss:
        """Return what some of the samples add to the step's mean losses: two scalars.

        Args:
            losses: losses of these samples.
            weights: weights of each sample's losses; 1 if not given.
        """
        video, audio = losses.video, losses.audio
        if weights is not None:
            video, audio = video * weights.video, audio * weights.audio
        # Without any such sample the sum is 0 and stays it.
        return JointLoss(video.sum() / max(self.video, 1), audio.sum() / max(self.audio, 1))


# Noisy video with its condition, noisy audio, both timesteps in [0, 1000], prompt embeddings.
JointForward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], Velocities]


def cast_forward(
    experts: Experts, expert: Expert, device: torch.device, compute: Compute, frame_rate: float, use_bridge: bool
) -> JointForward:
    """Return the joint forward of an expert at a frame rate, with products in the precision that a recipe asks for."""

    def forward(*tensors: torch.Tensor) -> Velocities:
        with autocast(device, compute):
            velocities: Velocities = experts(expert, *tensors, frame_rate=frame_rate, use_bridge=use_bridge)
        return velocities

    return forward


def joint_loss(
    forward: JointForward, batch: TrainingBatch, draws: Draws, targets: Velocities | None = None
) -> JointLoss:
    """Flow-matching losses of both modalities at their own noise levels (paper, equations 1 to 4).

    Args:
        forward: the joint model.
        batch: clean latents and conditions.
        draws: noise and noise levels.
        targets: velocities to predict; those from the clean latents to the noise if not given.
    """
    velocities = predict(forward, batch, draws)
    targets = targets or clip_velocities(batch, draws)
    video_mask = None if batch.video_counted is None else batch.video_counted[:, None, :, None, None]
    audio_mask = None if batch.audio_counted is None else batch.audio_counted[:, None]
    return JointLoss(
        video=velocity_loss(velocities.video, targets.video, video_mask),
        audio=velocity_loss(velocities.audio, targets.audio, audio_mask),
    )


def predict(forward: JointForward, batch: TrainingBatch, draws: Draws) -> Velocities:
    """Return what a joint model says of the clips with noise: velocities, as the clean latents."""
    noisy_video = interpolate(batch.clean.video, draws.noise.video, draws.video_sigma)
    noisy_audio = interpolate(batch.clean.audio, draws.noise.audio, draws.audio_sigma)
    return forward(
        torch.cat((noisy_video, batch.condition), dim=1),
        noisy_audio,
        1000 * draws.video_sigma,
        1000 * draws.audio_sigma,
        batch.prompt_embeds,
    )


def clip_velocities(batch: TrainingBatch, draws: Draws) -> Velocities:
    """Return the velocities from the clean latents to the noise, in float32."""
    return Velocities(
        velocity_target(batch.clean.video, draws.noise.video), velocity_target(batch.clean.audio, draws.noise.audio)
    )
