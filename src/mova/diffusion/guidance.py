"""Dual classifier-free guidance (CFG), by text and cross-modal by the bridge (paper, equations 5 and 6).

    v = v(no text, no bridge)
        + modality_scale * [v(no text, bridge) - v(no text, no bridge)]
        + guidance_scale * [v(text, bridge) - v(no text, bridge)]

Collected by prediction, the three weights are 1 - modality_scale, modality_scale - guidance_scale and guidance_scale.
A prediction whose weight is 0 for both modalities is not asked for: that leaves one call where both scales are 1, and
two where modality_scale is 1 (text guidance) or equals guidance_scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mova.checks import check_guidance
from mova.errors import ConfigError
from mova.types import Velocities


@dataclass(frozen=True)
class Branch:
    """One way to call the model.

    Attributes:
        text: with the prompt; without it, with the negative prompt.
        bridge: with the bridge between the towers.
    """

    text: bool
    bridge: bool


CONDITIONAL = Branch(text=True, bridge=True)
TEXTLESS = Branch(text=False, bridge=True)
UNCONDITIONAL = Branch(text=False, bridge=False)
_ALL_BRANCHES = (CONDITIONAL, TEXTLESS, UNCONDITIONAL)


@dataclass(frozen=True)
class BranchMix:
    """The calls of one step and how their predictions are combined.

    Attributes:
        branches: what to call the model with, without repetition.
        video_weights: one per branch, of the video velocities.
        audio_weights: one per branch, of the audio velocities.
        rescale: in [0, 1], how far the combined velocity gets the standard deviation of the conditional one.
    """

    branches: tuple[Branch, ...]
    video_weights: tuple[float, ...]
    audio_weights: tuple[float, ...]
    rescale: float = 0.0

    @property
    def guided(self) -> tuple[bool, bool]:
        """Whether video, and whether audio, takes anything but the conditional prediction."""
        video, audio = (
            any(weight != 0 and branch != CONDITIONAL for branch, weight in zip(self.branches, weights, strict=True))
            for weights in (self.video_weights, self.audio_weights)
        )
        return video, audio

    def combine(self, predictions: Sequence[Velocities]) -> Velocities:
        """Combine one prediction per branch, in float32."""
        if len(predictions) != len(self.branches):
            raise ConfigError(
                f"one prediction per branch is needed, got {len(predictions)} for {len(self.branches)} branches"
            )
        return Velocities(
            video=self._mix([prediction.video for prediction in predictions], self.video_weights),
            audio=self._mix([prediction.audio for prediction in predictions], self.audio_weights),
        )

    def _mix(self, predictions: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
        # An unused prediction is left out, not multiplied by 0: an infinity in it must not become NaN here.
        used = [weight * prediction.float() for weight, prediction in zip(weights, predictions, strict=True) if weight]
        mixed = torch.stack(used).sum(0) if len(used) > 1 else used[0]
        if self.rescale == 0 or len(used) == 1:
            return mixed
        reference = predictions[self.branches.index(CONDITIONAL)].float()
        ratio = _spread(reference) / _spread(mixed).clamp_min(torch.finfo(torch.float32).tiny)
        return mixed * (self.rescale * ratio + 1 - self.rescale)


@dataclass(frozen=True)
class Guidance:
    """Scales of the dual guidance. The defaults disable it.

    Attributes:
        guidance_scale: classifier-free guidance scale for the text prompt, 0 or more; 1 disables it.
        modality_scale: cross-modal (bridge) guidance scale, 0 or more; 1 disables it.
        audio_guidance_scale: classifier-free guidance scale of the audio alone; None takes `guidance_scale`.
        audio_modality_scale: cross-modal guidance scale of the audio alone; None takes `modality_scale`.
        rescale: in [0, 1]; above 0 it counters over-saturation at high scales by bringing each sample's standard
            deviation back towards that of the conditional prediction (Lin et al. 2023, section 3.4).
        interval: (low, high) in sigma; a modality is guided where low < sigma <= high (Kynkaanniemi et al. 2024).
        tolerance: in [0, 1]; guidance ends once all predictions of a step are as near to the conditional one, in cosine
            distance of their clean latents (see `AdaptiveGuidance`); 0 follows the plan to its end.

    Raises:
        ConfigError: a value outside its range.
    """

    guidance_scale: float = 1.0
    modality_scale: float = 1.0
    audio_guidance_scale: float | None = None
    audio_modality_scale: float | None = None
    rescale: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_guidance(
            guidance_scale=self.guidance_scale,
            modality_scale=self.modality_scale,
            audio_guidance_scale=self.audio_guidance_scale,
            audio_modality_scale=self.audio_modality_scale,
            guidance_rescale=self.rescale,
            guidance_interval=self.interval,
            adaptive_guidance=self.tolerance,
        )

    def at(self, video_sigma: float, audio_sigma: float) -> BranchMix:
        """Return the least calls for a step at these noise levels, and how to combine them.

        A modality outside the interval, or held clean (sigma 0), takes the conditional prediction as it is.
        """
        audio_text = self.guidance_scale if self.audio_guidance_scale is None else self.audio_guidance_scale
        audio_bridge = self.modality_scale if self.audio_modality_scale is None else self.audio_modality_scale
        video = self._weights(self.guidance_scale, self.modality_scale, video_sigma)
        audio = self._weights(audio_text, audio_bridge, audio_sigma)
        # The rescale compares with the conditional prediction, also where its own weight is 0 (guidance_scale 0).
        is_reference_needed = self.rescale > 0 and any(
            sum(weight != 0 for weight in weights) > 1 for weights in (video, audio)
        )
        kept = [
            index
            for index, branch in enumerate(_ALL_BRANCHES)
            if video[index] != 0 or audio[index] != 0 or (branch is CONDITIONAL and is_reference_needed)
        ]
        return BranchMix(
            branches=tuple(_ALL_BRANCHES[index] for index in kept),
            video_weights=tuple(video[index] for index in kept),
            audio_weights=tuple(audio[index] for index in kept),
            rescale=self.rescale,
        )

    def _weights(self, text_scale: float, bridge_scale: float, sigma: float) -> tuple[float, float, float]:
        low, high = self.interval
        if not low < sigma <= high:
            return 1.0, 0.0, 0.0
        return text_scale, bridge_scale - text_scale, 1 - bridge_scale


def _spread(velocity: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each sample, broadcastable over it."""
    return velocity.std(dim=tuple(range(1, velocity.ndim)), keepdim=True)
