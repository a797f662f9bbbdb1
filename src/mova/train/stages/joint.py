"""Both towers and the bridge on encoded clips: a phase of the paper (4.2), or a full fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from mova.data.batch import LatentBatch, LatentSource
from mova.diffusion.timesteps import expert_ranges, loss_weight, low_noise_share
from mova.distributed.context_parallel import ContextParallel
from mova.distributed.fsdp import shard_model
from mova.distributed.mesh import ALONE, Parallel
from mova.distributed.sharded_init import ShardedInit
from mova.models.experts import ExpertForward, Experts, pair_towers
from mova.names import COMPONENTS, EXPERTS, Component, Expert
from mova.train.build.components import build_components, export_component
from mova.train.build.placement import Placement
from mova.train.config.joint import JointConfig, JointObjectiveConfig
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.trainer import OnProgress, SampleClips, choose_device, step_generator
from mova.train.stages.latent_stage import OpenSplits, condition_of, noise_of, prompts_of, tower_groups
from mova.train.stages.teacher import Teacher, taught_velocities
from mova.train.steps.dependence import velocity_figures
from mova.train.steps.draws import DrawSettings, StepDraws, draw_expert, draw_step
from mova.train.steps.objective import Draws, JointForward, JointLoss, TrainingBatch, cast_forward, joint_loss
from mova.train.validation import ClipSampler, SampleSettings
from mova.types import LatentPair, Velocities
from mova.weights.locate import find_model


class JointObjective:
    """The steps of every stage that trains on both modalities; a subclass says what is trained.

    Args:
        config: the recipe.
        data: the stage's clips.
        components: towers and bridge by name, where `placement.load_device` says.
        device: device that trains.
        parallel: this process among the others; tokens and weights are spread as it says.
        own: fills components on the meta device, once they are spread.
    """

    def __init__(
        self,
        config: JointObjectiveConfig,
        data: OpenSplits,
        components: dict[Component, nn.Module],
        device: torch.device,
        parallel: Parallel,
        own: ShardedInit | None = None,
    ) -> None:
        self.objective, self.data, self.components, self.device = config, data, components, device
        self.parallel = parallel
        self.models = pair_towers(components)
        self.ranges = expert_ranges(config.boundary_ratio)
        self.settings = DrawSettings(
            video_shift=config.video_shift,
            audio_shift=config.audio_shift,
            independent=config.independent_timesteps,
            distribution=config.distribution,
            text_dropout=config.text_dropout,
            image_dropout=config.image_dropout,
            bridge_dropout=config.bridge_dropout,
            frames=config.conditions.frames(),
            video_held=config.conditions.video_held,
            audio_held=config.conditions.audio_held,
            audio_only=config.conditions.audio_only,
        )
        if config.run.compile and device.type == "cuda":
            for component in components.values():
                component.compile_repeated_blocks(dynamic=False)  # type: ignore[operator]
        self.placement = Placement(components, config.memory, device)
        by_name: dict[str, nn.Module] = {str(name): component for name, component in components.items()}
        self.experts = Experts(self.models)
        self.context = ContextParallel(by_name, parallel)
        shard_model(self.experts, by_name, parallel)
        if own:
            own.fill()

    def losses(self, step: int, _progress: float, /) -> Iterator[dict[str, torch.Tensor]]:
        """Joint velocity losses in one expert's noise range; the parts of a step add up to its means."""
        config, seed = self.objective, self.objective.run.seed
        expert = self.expert(step)
        draws = draw_step(self.settings, config.run.batch_size, step_generator(seed, step), self.ranges[expert])
        counts = self.data.parts.counts(step, draws)
        audio = "audio" if draws.use_bridge else "audio_apart"
        for part in self.data.parts.of(step, draws.tasks):
            chosen = draws.part(part.places)
            noise = noise_of(part, seed=seed, step=step, device=self.device)
            batch = self._batch(part.batch, chosen, self.data.train)
            levels = self._draws(chosen, noise)
            targets = self._targets(expert, chosen, part.batch, batch, levels)
            losses = joint_loss(self.forward(expert, chosen.use_bridge), batch, levels, targets)
            weighted = counts.share(losses, self._weights(chosen))
            plain = counts.share(losses)
            yield {
                "loss": weighted.video + config.audio_weight * weighted.audio,
                f"video_{expert}": plain.video,
                audio: plain.audio,
            }

    def expert(self, step: int) -> Expert:
        """Return the expert that a step trains."""
        config = self.objective
        boundary = low_noise_share(config.boundary_ratio, config.video_shift)
        return draw_expert(config.expert_cycle, step, boundary, config.run.seed)

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
        """Velocity errors at fixed noise levels and the cross-modal dependence metric, over the held-out clips."""
        seed = self.objective.run.seed + 1
        sums: dict[str, float] = {}
        total = 0
        for part in self.data.validation_parts():
            count = len(part.batch)
            if count < 2:
                # The dependence metric needs another clip.
                continue
            level, no = torch.full((count,), 0.5), torch.zeros(count, dtype=torch.bool)
            batch = self._batch(part.batch, StepDraws(level, level, no, no, no, True), self.data.validation)
            noise = noise_of(part, seed=seed, step=0, device=self.device)
            found = velocity_figures(self._trained_forward, batch, noise, self.objective.boundary_ratio)
            sums = {name: sums.get(name, 0.0) + count * value for name, value in found.items()}
            total += count
        return {name: value / total for name, value in sums.items()}

    def clip_sampler(self) -> SampleClips | None:
        """Return what makes clips at a validation, or None where the recipe wants none."""
        config = self.objective
        if not config.validation.clips:
            return None
        encoders = find_model(config.encoders) if config.encoders else config.model
        settings = SampleSettings(
            config.validation, config.video_shift, config.audio_shift, config.boundary_ratio, encoders
        )
        source = self.parallel.broadcast(self.data.held_out_clips)
        components = {str(name): part for name, part in self.components.items()}
        return ClipSampler(settings, source, components, self.sampled_models(), self.device, self.parallel).sample

    def sampled_models(self) -> dict[Expert, ExpertForward]:
        """Return the joint models as the sampling loop calls them: each is brought to the device before its steps."""
        return {expert: ExpertForward(self.experts, expert, self.placement.use) for expert in EXPERTS}

    def forward(self, expert: Expert, use_bridge: bool = True) -> JointForward:
        """Return the joint forward of an expert, in bf16 where the device is made for it."""
        self.placement.use(expert)
        compute, frame_rate = self.objective.run.computes_in, self.data.train.frame_rate
        return cast_forward(self.experts, expert, self.device, compute, frame_rate, use_bridge)

    def _trained_forward(self, expert: Expert) -> JointForward:
        """Return the joint forward as steps use it: a bridge that no step uses is still random."""
        return self.forward(expert, use_bridge=self.objective.bridge_dropout < 1)

    def _batch(self, batch: LatentBatch, draws: StepDraws, source: LatentSource) -> TrainingBatch:
        return TrainingBatch(
            clean=LatentPair(batch.video, batch.audio),
            condition=condition_of(batch, draws, source.white_condition(batch.bucket)),
            prompt_embeds=prompts_of(batch, draws, source.null_prompt),
            video_counted=_learned(batch.video_counted, draws.video_learned),
            audio_counted=_learned(batch.audio_counted, draws.audio_learned),
        )

    def _draws(self, draws: StepDraws, noise: LatentPair) -> Draws:
        return Draws(noise, draws.video_sigma.to(self.device), draws.audio_sigma.to(self.device))

    def _targets(
        self, _expert: Expert, _chosen: StepDraws, _clips: LatentBatch, _batch: TrainingBatch, _draws: Draws
    ) -> Velocities | None:
        """Return the velocities that are learned, where they are others than the clips' own."""
        return None

    def _weights(self, draws: StepDraws) -> JointLoss | None:
        config = self.objective
        if config.weighting == "none":
            return None
        video, audio = (
            loss_weight(sigma, config.weighting, gamma=config.min_snr_gamma, shift=shift).to(self.device)
            for sigma, shift in ((draws.video_sigma, config.video_shift), (draws.audio_sigma, config.audio_shift))
        )
        return JointLoss(video, audio)


def _learned(counted: torch.Tensor, learned: torch.Tensor | None) -> torch.Tensor:
    """Return (B, N) what counts of samples of which some are not learned from at all."""
    return counted if learned is None else counted * learned.to(counted)[:, None]


class JointStage(JointObjective):
    """Trains whole components.

    Args:
        config: the recipe.
        cache: folder of encoded clips.
        parallel: this process among the others.
        on_progress: called while clips are encoded.
    """

    name = "joint"

    def __init__(
        self, config: JointConfig, cache: Path, parallel: Parallel = ALONE, on_progress: OnProgress | None = None
    ) -> None:
        self.config = config
        device = choose_device(config.run.device)
        # Before any clip is encoded: the model that it names may not be there.
        self.teacher = Teacher(config.teacher, device, config.run.computes_in) if config.teacher else None
        data = OpenSplits(config, cache, device, parallel, on_progress, tuple(config.conditions.frames()))
        torch.manual_seed(config.run.seed)
        own = ShardedInit.of(parallel, device)
        components = build_components(config.start, COMPONENTS, config.model, own)
        for name, component in components.items():
            component.requires_grad_(name in config.trainable)
            if own is None:
                component.to(device)
        super().__init__(config, data, components, device, parallel, own)
        self.modules: Mapping[str, nn.Module] = {name: components[name] for name in config.trainable}

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Towers at the base rate, the bridge at its multiple of it."""
        towers = {**{name: expert for expert, name in EXPERTS.items()}, "audio_dit": "audio"}
        groups = [
            group
            for name, label in towers.items()
            if name in self.modules
            for group in tower_groups(label, self.modules[name])
        ]
        if "dual_tower_bridge" in self.modules:
            bridge = list(self.modules["dual_tower_bridge"].parameters())
            groups.append(ParameterGroup("bridge", bridge, lr_scale=self.config.bridge_lr_scale))
        return groups

    def _targets(
        self, expert: Expert, chosen: StepDraws, clips: LatentBatch, batch: TrainingBatch, draws: Draws
    ) -> Velocities | None:
        if self.teacher is None:
            return None
        forward = self.teacher.forward(expert, chosen.use_bridge, self.data.train.frame_rate)
        return taught_velocities(forward, chosen, clips, batch, draws)

    def export(self) -> None:
        """Write all four components, also those that were not trained: the next stage begins with them."""
        for name, component in self.components.items():
            export_component(component, name, self.config.model, self.parallel)
