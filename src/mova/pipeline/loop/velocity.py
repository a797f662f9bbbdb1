"""The model as the denoising loop sees it: branches of guidance in, velocities out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import torch

from mova.codecs.prompt import CutPrompt
from mova.diffusion.guidance import Branch
from mova.kernels.text_cache import TextCache
from mova.models.tower import AudioTower, VideoTower
from mova.names import Expert
from mova.pipeline.loop.step_cache import StepCache
from mova.plan.free import free_gpu_bytes
from mova.plan.memory import token_bytes
from mova.types import LatentPair, Velocities

logger = logging.getLogger(__name__)

# Video tokens of one call up to which branches share a call. Small calls are bound by overhead; large ones gain
# nothing, and two of them at once take twice the memory.
SMALL_CALL_TOKENS = 4096
# Where weights are brought for each call, a shared one brings them once: from host memory that takes as long as
# computing about so many tokens of a published model; from files longer than computing any clip.
_JOINED_TOKENS: Final = {"stream": 16_384, "disk": None}
# Of the free memory of a GPU that branches in one call may take: the estimate leaves out what kernels need beside.
MEMORY_SHARE = 0.5


class JointModel(Protocol):
    """The joint forward of one expert: a `DualTower`, or what stands before one that is spread or moved about."""

    @property
    def video_tower(self) -> VideoTower:
        """The expert."""

    @property
    def audio_tower(self) -> AudioTower:
        """The tower that both experts share."""

    def __call__(self, *inputs: torch.Tensor, frame_rate: float, use_bridge: bool = True) -> Velocities:
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

    def rows(self, first: int, end: int) -> TextConditions:
        """Return the texts of some clips of the batch."""
        negative = None if self.negative is None else self.negative[first:end]
        return TextConditions(self.positive[first:end], negative)


@dataclass(frozen=True, eq=False)
class VelocityModel:
    """Both experts with the conditions of one run; a `VelocityFunction` of `mova.diffusion.denoise`.

    Attributes:
        high_noise, low_noise: joint forwards of the two experts.
        text: embeddings.
        condition: (B, 4 + C, T, h, w) of the known frames, in every branch.
        frame_rate: frames per second.
        batch_branches: evaluate branches with the same bridge setting in one call; None: where calls are small, or
            weights are brought anew for each; on a GPU where memory allows it.
        cache: repeats what video blocks added at an earlier step; None computes all of them.
        remember_text: keep what follows from the texts alone (text K/V cache) once per expert; the same bits.
        clip: number of the first clip in the whole batch; `cache` tells clips that are computed alone apart by it.
        use_bridge: False lets the towers run apart in every branch.
        placement: where weights are offloaded to, one of `mova.plan.memory.PLACEMENTS`.
        fits: whether so many branches fit in one call, as far as it is known; clips of a batch share it.
        free_bytes: free memory of the device of the latents, asked once for each number of branches; None, or an answer
            of None, for no such rule.
    """

    high_noise: JointModel
    low_noise: JointModel
    text: TextConditions
    condition: torch.Tensor
    frame_rate: float
    batch_branches: bool | None = None
    cache: StepCache | None = None
    remember_text: bool = True
    free_bytes: Callable[[torch.device], int | None] | None = free_gpu_bytes
    clip: int = 0
    use_bridge: bool = True
    placement: str = "resident"
    fits: dict[int, bool] = field(default_factory=dict, repr=False)
    _texts: dict[tuple[Branch, ...], TextCache] = field(default_factory=dict, repr=False)

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
        inputs = (video, latents.audio, video_timestep, audio_timestep)
        predictions: dict[Branch, Velocities] = {}
        for group in self._groups(branches, model, video):
            made = self._predict_if_it_fits(group, model, inputs, expert)
            for branch in group if made is None else ():
                predictions |= self._predict([branch], model, inputs, expert)
            predictions |= made or {}
        return [predictions[branch] for branch in branches]

    def _predict_if_it_fits(
        self, group: Sequence[Branch], model: JointModel, inputs: tuple[torch.Tensor, ...], expert: Expert
    ) -> dict[Branch, Velocities] | None:
        """Call the model once; None where branches that the estimate joined do not fit after all."""
        try:
            return self._predict(group, model, inputs, expert)
        except torch.OutOfMemoryError:
            if len(group) == 1 or self.batch_branches is not None or self.free_bytes is None:
                raise
        # Outside of the handler: the error would keep what the call had computed.
        logger.warning("%d branches do not fit in one call, from here on they take turns", len(group))
        self.fits.update(dict.fromkeys(self.fits, False))
        self._texts.pop(tuple(group), None)
        if self.cache:
            self.cache.forget(expert, (self.clip, *group))
        return None

    def _predict(
        self, group: Sequence[Branch], model: JointModel, inputs: tuple[torch.Tensor, ...], expert: Expert
    ) -> dict[Branch, Velocities]:
        """Call the model once."""
        count = len(group)
        if self.cache:
            self.cache.begin(expert, (self.clip, *group), predictions=count)
        with self._text(tuple(group), model) as prompt_embeds:
            together = model(
                *(_repeat(value, count) for value in inputs),
                prompt_embeds,
                frame_rate=self.frame_rate,
                use_bridge=self.use_bridge and group[0].bridge,
            )
        parts = zip(together.video.chunk(count), together.audio.chunk(count), strict=True)
        return {branch: Velocities(*part) for branch, part in zip(group, parts, strict=True)}

    def _text(self, group: tuple[Branch, ...], model: JointModel) -> contextlib.AbstractContextManager[torch.Tensor]:
        """Give the texts of branches that share a call, with their cache applied unless told otherwise."""
        if group not in self._texts:
            self._texts[group] = TextCache(torch.cat([self.text.of(branch) for branch in group]))
        cache = self._texts[group]
        if not self.remember_text:
            return contextlib.nullcontext(cache.prompt_embeds)
        for other in (self.high_noise.video_tower, self.low_noise.video_tower):
            if other is not model.video_tower:
                cache.forget(other)
        return cache.applied(model.video_tower, model.audio_tower)

    def _groups(self, branches: Sequence[Branch], model: JointModel, video: torch.Tensor) -> list[list[Branch]]:
        """Join branches that differ in their text only: the bridge is on or off for a whole call."""
        by_bridge = [[branch for branch in branches if branch.bridge is bridge] for bridge in (True, False)]
        most = max(len(group) for group in by_bridge)
        together = self.batch_branches
        if together is None:
            if most not in self.fits:
                self.fits[most] = self._fits_in_one_call(most, model.video_tower, video)
            together = self.fits[most]
        return [group for group in by_bridge if group] if together else [[branch] for branch in branches]

    def _fits_in_one_call(self, count: int, tower: VideoTower, video: torch.Tensor) -> bool:
        patch_t, patch_h, patch_w = tower.patch_size
        num_tokens = video.shape[0] * video[0, 0].numel() // (patch_t * patch_h * patch_w)
        free = self.free_bytes(video.device) if self.free_bytes else None
        most = SMALL_CALL_TOKENS if free is None else _JOINED_TOKENS.get(self.placement, SMALL_CALL_TOKENS)
        if most is not None and num_tokens > most:
            return False
        if free is None:
            return True
        needed = count * num_tokens * token_bytes(tower.config.dim, tower.config.ffn_dim, tower.dtype.itemsize)
        return needed <= MEMORY_SHARE * free


def _repeat(value: torch.Tensor, count: int) -> torch.Tensor:
    return value if count == 1 else value.repeat(count, *(1,) * (value.ndim - 1))
