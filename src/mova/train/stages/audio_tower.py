"""The audio tower alone, from text to audio: what it learns before it meets the video (paper 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import nn

from mova.data.batch import LatentBatch
from mova.device import autocast
from mova.diffusion.flow import interpolate, velocity_loss, velocity_target
from mova.diffusion.timesteps import loss_weight
from mova.distributed.context_parallel import ContextParallel
from mova.distributed.fsdp import shard_model
from mova.distributed.mesh import ALONE, Parallel
from mova.distributed.sharded_init import ShardedInit
from mova.models.tower import AudioTower
from mova.offload.activations import recompute_blocks
from mova.train.build.components import build_components, export_component
from mova.train.config import AudioTowerConfig
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.trainer import OnProgress, choose_device, step_generator
from mova.train.stages.latent_stage import OpenSplits, noise_of, prompts_of, tower_groups
from mova.train.steps.draws import DrawSettings, StepDraws, draw_step

VALIDATION_SIGMAS = (0.3, 0.6, 0.95)


class AudioTowerStage:
    """Velocity matching of the audio alone, with text dropout.

    Args:
        config: the recipe.
        cache: folder of encoded clips.
        parallel: this process among the others.
        on_progress: called while clips are encoded.
    """

    name = "audio_tower"

    def __init__(
        self, config: AudioTowerConfig, cache: Path, parallel: Parallel = ALONE, on_progress: OnProgress | None = None
    ) -> None:
        self.config, self.device = config, choose_device(config.run.device)
        self.data = OpenSplits(config, cache, self.device, parallel, on_progress)
        torch.manual_seed(config.run.seed)
        own = ShardedInit.of(parallel, self.device)
        component = build_components(config.start, ("audio_dit",), config.model, own)["audio_dit"]
        self.tower = cast("AudioTower", component.to(self.device) if own is None else component)
        self.modules: Mapping[str, nn.Module] = {"audio_dit": self.tower}
        if config.run.compile and self.device.type == "cuda":
            self.tower.compile_repeated_blocks(dynamic=False)
        self.parallel = parallel
        if config.memory.checkpoint_activations:
            recompute_blocks([self.tower], offload=config.memory.offload_activations)
        self.context = ContextParallel({"audio_dit": self.tower}, parallel)
        shard_model(self.tower, {"audio_dit": self.tower}, parallel)
        if own:
            own.fill()
        self.settings = DrawSettings(
            audio_shift=config.shift, distribution=config.distribution, text_dropout=config.text_dropout
        )

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """The tower."""
        return tower_groups("audio", self.tower)

    def losses(self, step: int, _progress: float, /) -> Iterator[dict[str, torch.Tensor]]:
        """Velocity error at shifted noise levels."""
        config = self.config
        draws = draw_step(self.settings, config.run.batch_size, step_generator(config.run.seed, step))
        count = max(self.data.parts.counts(step).audio, 1)
        for part in self.data.parts.of(step):
            chosen = draws.part(part.places)
            noise = noise_of(part, seed=config.run.seed, step=step, device=self.device).audio
            error = self._error(part.batch, chosen, noise)
            weight = loss_weight(
                chosen.audio_sigma, config.weighting, gamma=config.min_snr_gamma, shift=config.shift
            ).to(self.device)
            yield {"loss": (weight * error).sum() / count, "audio": error.sum() / count}

    def samples(self, step: int, /) -> Sequence[str]:
        """Names of a step's clips."""
        return self.data.parts.keys(step)

    def position(self, step: int, /) -> Mapping[str, object]:
        """Where in its clips the run stands."""
        return self.data.position(step)

    def resume_at(self, position: Mapping[str, object], /) -> None:
        """Refuse other clips than the run learned from."""
        self.data.check(position)

    def validate(self) -> dict[str, float]:
        """Velocity error on held-out clips at fixed noise levels."""
        figures = {}
        for level in VALIDATION_SIGMAS:
            errors = []
            for part in self.data.validation_parts():
                noise = noise_of(part, seed=self.config.run.seed + 1, step=0, device=self.device).audio
                count = len(part.batch)
                level_of = torch.full((count,), level)
                no = torch.zeros(count, dtype=torch.bool)
                errors.append(self._error(part.batch, StepDraws(level_of, level_of, no, no, no, False), noise))
            figures[f"audio_error_{level}"] = float(torch.cat(errors).mean())
        return figures

    def export(self) -> None:
        """Write the tower, for the joint stage to begin with."""
        export_component(self.tower, "audio_dit", self.config.model, self.parallel)

    def _error(self, batch: LatentBatch, draws: StepDraws, noise: torch.Tensor) -> torch.Tensor:
        sigma = draws.audio_sigma.to(self.device)
        prompts = prompts_of(batch, draws, self.data.train.null_prompt)
        with autocast(self.device, self.config.run.computes_in):
            velocity = self.tower(interpolate(batch.audio, noise, sigma), 1000 * sigma, prompts)
        return velocity_loss(velocity, velocity_target(batch.audio, noise), batch.audio_counted[:, None])
