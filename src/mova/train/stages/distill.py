"""Adapters with which a model makes a clip in few steps without guidance; the model itself is the teacher.

Our own recipe in the forms that `mova.train.steps.distillation` names; the paper has none. Student and teacher share
the frozen base: the student is the base with its adapters, the teacher the base without them, guided. What is learned
is a LoRA like any other, to be used with the ordinary Euler sampler at `steps` steps and guidance 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mova.data.batch import LatentSource
from mova.device import autocast
from mova.diffusion.denoise import StepPlan, plan_steps
from mova.diffusion.flow import interpolate
from mova.diffusion.guidance import Guidance
from mova.diffusion.schedule import PairedSchedule
from mova.distributed.mesh import ALONE, Parallel
from mova.names import Expert
from mova.pipeline.loading.model import load_scheduler
from mova.pipeline.loop.sampling import Course, sample
from mova.pipeline.loop.velocity import TextConditions
from mova.train.build.adapters import without_adapters
from mova.train.config.distill import DistillConfig
from mova.train.loop.trainer import OnProgress, step_generator
from mova.train.stages.latent_stage import Part, condition_of, noise_of, prompts_of
from mova.train.stages.lora import LoraStage
from mova.train.steps.distillation import (
    PhaseGrid,
    Walk,
    distillation_loss,
    jump,
    mean_velocity,
    phase_grid,
    phase_target,
)
from mova.train.steps.draws import StepDraws, draw_step
from mova.train.steps.objective import JointLoss
from mova.types import LatentPair, Velocities
from mova.weights.locate import find_model
from mova.weights.lora.adapters import Lora
from mova.weights.lora.rank import reduce_rank


@dataclass(frozen=True, eq=False)
class _Conditions:
    """What the student and the teacher are told of B clips."""

    frames: torch.Tensor
    prompts: torch.Tensor
    null_prompts: torch.Tensor


class DistillStage(LoraStage):
    """Trains adapters that jump over phases of the schedule and writes them as one LoRA file.

    Args:
        config: the recipe.
        cache: folder of encoded clips.
        parallel: this process among the others.
        on_progress: called while clips are encoded.

    Raises:
        ConfigError: see `LoraStage`, and levels of few steps that are none of the teacher's.
        CheckpointError, MissingExtraError: see `LoraStage`.
    """

    name = "distill"

    def __init__(
        self, config: DistillConfig, cache: Path, parallel: Parallel = ALONE, on_progress: OnProgress | None = None
    ) -> None:
        # What can be wrong with the schedule is found before any clip is encoded.
        self.grid = _grid_of(config)
        as_sampled = config.validation.model_copy(
            update={"num_inference_steps": config.steps, "guidance_scale": 1.0, "modality_scale": 1.0}
        )
        super().__init__(config.model_copy(update={"validation": as_sampled}), cache, parallel, on_progress)
        # The file says which recipe it comes from: the one that was given.
        self.config = self.distillation = config
        self.guidance = Guidance(config.guidance_scale, config.modality_scale)
        self.plan = plan_steps(self.grid.schedule, Guidance(), config.boundary_ratio)

    def losses(self, step: int, _progress: float, /) -> Iterator[dict[str, torch.Tensor]]:
        """Distances from the target at the end of one phase; the phases take turns, all samples of a step in one."""
        config, seed = self.distillation, self.distillation.run.seed
        index = self.level(step)
        draws = draw_step(self.settings, config.run.batch_size, step_generator(seed, step))
        counts = self.data.parts.counts(step)
        phase = index // self.grid.length + 1
        for part in self.data.parts.of(step):
            noise = noise_of(part, seed=seed, step=step, device=self.device)
            losses = self._distances(part, draws.part(part.places), noise, index, self.data.train)
            share = counts.share(losses)
            yield {
                "loss": config.video_weight * share.video + config.audio_weight * share.audio,
                f"video_phase_{phase}": share.video,
                f"audio_phase_{phase}": share.audio,
            }

    def level(self, step: int) -> int:
        """Return the level of the schedule (0 to N - 1) at which a step begins: any of its phase in consistency form.

        One level for all samples of a step: an expert belongs to a level, and processes must agree on the expert.
        """
        first = step % self.grid.num_phases * self.grid.length
        if self.distillation.target == "teacher":
            return first
        # Apart from the step's other choices, which are drawn from the same seed.
        generator = step_generator(self.distillation.run.seed + 1, step)
        return first + int(torch.randint(self.grid.length, (), generator=generator))

    def expert(self, step: int) -> Expert:
        """Return the expert that a step trains."""
        return self.plan[self.level(step)].expert

    def validate(self) -> dict[str, float]:
        """Distances of the held-out clips from where the teacher's steps lead, phase by phase."""
        grid, seed = self.grid, self.distillation.run.seed + 1
        sums: dict[str, float] = {}
        total = 0
        for part in self.data.validation_parts():
            count = len(part.batch)
            nothing = torch.zeros(count, dtype=torch.bool)
            draws = StepDraws(torch.zeros(count), torch.zeros(count), nothing, nothing, nothing, True)
            noise = noise_of(part, seed=seed, step=0, device=self.device)
            for phase in range(grid.num_phases):
                losses = self._distances(part, draws, noise, phase * grid.length, self.data.validation, exact=True)
                for name, values in (("video", losses.video), ("audio", losses.audio)):
                    key = f"{name}_phase_{phase + 1}"
                    sums[key] = sums.get(key, 0.0) + float(values.sum())
            total += count
        return {name: value / total for name, value in sums.items()}

    def lora(self) -> Lora:
        """Return the adapters as they are now, with the settings that they were made for."""
        config = self.distillation
        recommended: dict[str, float | str] = {
            "num_inference_steps": config.steps,
            "guidance_scale": 1.0,
            "modality_scale": 1.0,
            "video_shift": config.video_shift,
            "audio_shift": config.audio_shift,
            "sampler": "euler",
        }
        lora = replace(super().lora(), recommended=recommended)
        if config.max_parameters:
            lora = reduce_rank(lora, config.max_parameters)
        return lora.to(getattr(torch, config.output_dtype))

    def _distances(
        self, part: Part, draws: StepDraws, noise: LatentPair, index: int, source: LatentSource, exact: bool = False
    ) -> JointLoss:
        """Return how far the student's jump from a level ends from its target.

        Args:
            part: clips.
            draws: what they are told.
            noise: initial noise of their latents.
            index: number of the noise level.
            source: that they come from.
            exact: against the teacher's own steps, whatever the recipe says, in squared errors.
        """
        config, grid, batch = self.distillation, self.grid, part.batch
        count = len(batch)
        conditions = _Conditions(
            condition_of(batch, draws, source.white_condition(batch.bucket)),
            prompts_of(batch, draws, source.null_prompt),
            source.null_prompt.float().expand_as(batch.prompts),
        )
        start = LatentPair(
            interpolate(batch.video, noise.video, grid.schedule.video_sigmas[index].to(self.device).expand(count)),
            interpolate(batch.audio, noise.audio, grid.schedule.audio_sigmas[index].to(self.device).expand(count)),
        )
        piece = grid.piece(index, grid.end_of(index))
        is_consistent = config.target == "consistency" and not exact
        with torch.no_grad():
            student = self._student_walk(conditions) if is_consistent else None
            end = phase_target(grid, index, start, self._teacher_walk(conditions), student)
        return distillation_loss(
            self._velocities(start, piece, conditions),
            mean_velocity(start, end, piece),
            huber=0.0 if exact else config.huber,
            video_counted=batch.video_counted,
            audio_counted=batch.audio_counted,
        )

    def _velocities(self, start: LatentPair, piece: PairedSchedule, conditions: _Conditions) -> Velocities:
        """Ask the student once, at the first level of a piece."""
        expert = self._plan_of(piece)[0].expert
        count = len(start.video)
        return self.forward(expert)(
            torch.cat((start.video, conditions.frames), dim=1),
            start.audio,
            piece.video_timesteps[0].to(self.device).expand(count),
            piece.audio_timesteps[0].to(self.device).expand(count),
            conditions.prompts,
        )

    def _student_walk(self, conditions: _Conditions) -> Walk:
        def walk(start: LatentPair, piece: PairedSchedule) -> LatentPair:
            return jump(start, self._velocities(start, piece, conditions), piece)

        return walk

    def _teacher_walk(self, conditions: _Conditions) -> Walk:
        """Return the base without its adapters, guided, on the sampling loop of a pipeline."""
        models, text = self.sampled_models(), TextConditions(conditions.prompts, conditions.null_prompts)

        def walk(start: LatentPair, piece: PairedSchedule) -> LatentPair:
            course = Course(
                piece,
                self.data.train.frame_rate,
                guidance=self.guidance,
                boundary_ratio=self.distillation.boundary_ratio,
            )
            with self._as_teacher(), autocast(self.device, self.distillation.run.computes_in):
                end, _ = sample(models, course, text, start, conditions.frames)
            return end

        return walk

    def _as_teacher(self) -> AbstractContextManager[None]:
        return without_adapters(self.components.values())

    def _plan_of(self, piece: PairedSchedule) -> tuple[StepPlan, ...]:
        return plan_steps(piece, Guidance(), self.distillation.boundary_ratio)


def _grid_of(config: DistillConfig) -> PhaseGrid:
    return phase_grid(
        load_scheduler(find_model(config.base) / "scheduler"),
        steps=config.steps,
        teacher_steps=config.teacher_steps,
        video_shift=config.video_shift,
        audio_shift=config.audio_shift,
    )
