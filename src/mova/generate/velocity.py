"""The model as the denoising loop sees it: branches of guidance in, velocities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from mova.codecs.prompt import CutPrompt
from mova.diffusion.denoise import Expert
from mova.diffusion.guidance import Branch
from mova.generate.step_cache import StepCache
from mova.models.prompt_memory import PromptMemory
from mova.models.tower import VideoTower
from mova.types import LatentPair, Velocities

# Video tokens of one call up to which branches share a call by default. Small calls are bound by overhead.
SMALL_CALL_TOKENS = 4096


class JointModel(Protocol):
    """The joint forward of one expert: a `DualTower`, or what stands before one that is spread or moved about."""

    @property
    def video_tower(self) -> VideoTower:
        """The expert."""

    def __call__(self, *inputs: torch.Tensor | PromptMemory, frame_rate: float, use_bridge: bool = True) -> Velocities:
        """Predict both velocities, see `DualTower.forward`."""


@dataclass(frozen=True, eq=False)
class TextConditions:
    """Embeddings of the texts, one row per clip.

    Attributes:
        positive: (B, P, C) of the prompts.
        negative: (B, P, C) of the negative prompts; None where no branch reads them.
        cut: prompts that were too long.
    """

    positive: torch.Tensor
    negative: torch.Tensor | None
    cut: tuple[CutPrompt, ...] = ()

    def of(self, branch: Branch) -> torch.Tensor:
        """Return the (B, P, C) that a branch reads."""
        if branch.text:
            return self.positive
        assert self.negative is not None, "the plan said that no branch reads the negative prompt"
        return self.negative


@dataclass(frozen=True, eq=False)
class VelocityModel:
    """Both experts with the conditions of one run; a `VelocityFunction` of `mova.diffusion.denoise`.

    Attributes:
        high_noise, low_noise: joint forwards of the two experts.
        text: embeddings.
        condition: (B, 4 + C, T, h, w) of the known frames, in every branch.
        frame_rate: frames per second.
        batch_branches: evaluate branches with the same bridge setting in one call; None: where calls are small.
        cache: repeats what video blocks added at an earlier step; None computes all of them.
        remember_text: compute what follows from the texts alone once per expert, not at every step; the same bits.
    """

    high_noise: JointModel
    low_noise: JointModel
    text: TextConditions
    condition: torch.Tensor
    frame_rate: float
    batch_branches: bool | None = None
    cache: StepCache | None = None
    remember_text: bool = True
    _texts: dict[tuple[Branch, ...], PromptMemory] = field(default_factory=dict, repr=False)

    def __call__(
        self,
        branches: Sequence[Branch],
        latents: LatentPair,
        video_timestep: torch.Tensor,
        audio_timestep: torch.Tensor,
        expert: Expert,
    ) -> Sequence[Velocities]:
        """Return one prediction per branch; see `VelocityFunction`."""
        model = self.high_noise if expert == "high_noise" else self.low_noise
        video = torch.cat([latents.video, self.condition], dim=1)
        predictions: dict[Branch, Velocities] = {}
        for group in self._groups(branches, video):
            count = len(group)
            if self.cache:
                self.cache.begin(expert, tuple(group))
            together = model(
                _repeat(video, count),
                _repeat(latents.audio, count),
                _repeat(video_timestep, count),
                _repeat(audio_timestep, count),
                self._text(tuple(group), model),
                frame_rate=self.frame_rate,
                use_bridge=group[0].bridge,
            )
            parts = zip(together.video.chunk(count), together.audio.chunk(count), strict=True)
            predictions |= {branch: Velocities(*part) for branch, part in zip(group, parts, strict=True)}
        return [predictions[branch] for branch in branches]

    def _text(self, group: tuple[Branch, ...], model: JointModel) -> torch.Tensor | PromptMemory:
        """Return the texts of branches that share a call, remembered from step to step unless told otherwise."""
        if group not in self._texts:
            self._texts[group] = PromptMemory(torch.cat([self.text.of(branch) for branch in group]))
        memory = self._texts[group]
        if not self.remember_text:
            return memory.prompt_embeds
        for other in (self.high_noise.video_tower, self.low_noise.video_tower):
            if other is not model.video_tower:
                memory.forget(other)
        return memory

    def _groups(self, branches: Sequence[Branch], video: torch.Tensor) -> list[list[Branch]]:
        """Join branches that differ in their text only: the bridge is on or off for a whole call."""
        together = self.batch_branches
        if together is None:
            patch_t, patch_h, patch_w = self.high_noise.video_tower.patch_size
            num_tokens = video.shape[0] * video[0, 0].numel() // (patch_t * patch_h * patch_w)
            together = num_tokens <= SMALL_CALL_TOKENS
        if not together:
            return [[branch] for branch in branches]
        by_bridge = [[branch for branch in branches if branch.bridge is bridge] for bridge in (True, False)]
        return [group for group in by_bridge if group]


def _repeat(value: torch.Tensor, count: int) -> torch.Tensor:
    return value if count == 1 else value.repeat(count, *(1,) * (value.ndim - 1))
