"""Both towers and the bridge on encoded clips, and the audio tower alone before that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import nn

from mova.diffusion.flow import interpolate, shift_sigma, velocity_loss, velocity_target
from mova.diffusion.timesteps import expert_ranges, sample_sigmas
from mova.models.bridge import CrossModalBridge
from mova.models.convert import load_component, write_component
from mova.models.dual_tower import DualTower
from mova.models.presets import tiny_audio_tower, tiny_bridge, tiny_video_tower
from mova.models.tower import AudioTower, VideoTower
from mova.train.config import AudioTowerConfig, JointConfig
from mova.train.data import FRAME_RATE
from mova.train.objective import Draws, JointForward, TrainingBatch, joint_loss
from mova.train.optimizer import ParameterGroup
from mova.train.stages.latents import LatentSet, load_latents
from mova.train.trainer import choose_device, noise_generator, step_generator
from mova.types import LatentPair, Velocities

_VALIDATION_CLIPS = 64
_VALIDATION_SIGMAS = (0.3, 0.6, 0.95)
_EXPERTS = ("high_noise", "low_noise")
Tower = TypeVar("Tower", VideoTower, AudioTower)
_FIRST_LAYERS = ("patch_embedding", "text_embedding", "time_embedding", "time_projection", "head")


class AudioTowerStage:
    """Text to sound: what the audio tower learns before it meets the picture.

    Args:
        config: the recipe.
        latents: folder of encoded clips.
    """

    name = "audio_tower"

    def __init__(self, config: AudioTowerConfig, latents: Path) -> None:
        self.config = config
        self.device = choose_device(config.run.device)
        torch.manual_seed(config.run.seed)
        self.tower = _with_silent_head(AudioTower(**tiny_audio_tower())).to(self.device)
        self.modules: Mapping[str, nn.Module] = {"audio_dit": self.tower}
        self.clips = load_latents(latents, "train", config.data.num_clips, self.device)
        self.validation = load_latents(latents, "validation", _VALIDATION_CLIPS, self.device)
        if config.run.compile and self.device.type == "cuda":
            self.tower.compile_repeated_blocks(dynamic=False)

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """The tower."""
        return tower_groups("audio", self.tower)

    def losses(self, step: int, _progress: float, /) -> tuple[dict[str, torch.Tensor]]:
        """Velocity error at shifted uniform noise levels, with text dropout."""
        config = self.config
        generator = step_generator(config.run.seed, step)
        rows = torch.randint(len(self.clips.audio), (config.run.batch_size,), generator=generator)
        dropped = torch.rand(len(rows), generator=generator) < config.text_dropout
        sigma = sample_sigmas(len(rows), shift=config.shift, generator=generator)
        noise = _noise(self.clips.audio[rows], noise_generator(config.run.seed, step, self.device))
        error = self._error(self.clips, rows, dropped, noise, sigma)
        return ({"loss": error.mean()},)

    def validate(self) -> dict[str, float]:
        """Velocity error on held-out clips at fixed noise levels."""
        rows = torch.arange(_VALIDATION_CLIPS)
        noise = _noise(self.validation.audio, noise_generator(self.config.run.seed + 1, 0, self.device))
        figures = {}
        for level in _VALIDATION_SIGMAS:
            sigma = torch.full((_VALIDATION_CLIPS,), level)
            error = self._error(self.validation, rows, torch.zeros_like(rows, dtype=torch.bool), noise, sigma)
            figures[f"audio_error_{level}"] = float(error.mean())
        return figures

    def export(self) -> None:
        """Write the tower, for the joint stage to begin with."""
        write_component(self.tower, self.config.model / "audio_dit")

    def _error(
        self, clips: LatentSet, rows: torch.Tensor, dropped: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        clean = clips.audio[rows].float()
        sigma = sigma.to(self.device)
        prompts = _drop_text(clips, rows, dropped)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            velocity = self.tower(interpolate(clean, noise, sigma), 1000 * sigma, prompts)
        return velocity_loss(velocity, velocity_target(clean, noise))


class JointStage:
    """The joint model, both video experts in turn, with independent noise levels of picture and sound.

    Args:
        config: the recipe.
        latents: folder of encoded clips.
    """

    name = "joint"

    def __init__(self, config: JointConfig, latents: Path) -> None:
        self.config = config
        self.device = choose_device(config.run.device)
        torch.manual_seed(config.run.seed)
        self.experts = {name: _with_silent_head(VideoTower(**tiny_video_tower())) for name in _EXPERTS}
        self.bridge = CrossModalBridge(**tiny_bridge())
        self.audio = (
            cast("AudioTower", load_component(config.model / "audio_dit", expected_class="WanAudioModel"))
            if config.start_from_audio_tower
            else _with_silent_head(AudioTower(**tiny_audio_tower()))
        )
        components: dict[str, VideoTower | AudioTower | CrossModalBridge] = {
            "video_dit": self.experts["high_noise"],
            "video_dit_2": self.experts["low_noise"],
            "audio_dit": self.audio,
            "dual_tower_bridge": self.bridge,
        }
        for component in components.values():
            component.to(self.device).train()
            if config.run.compile and self.device.type == "cuda":
                component.compile_repeated_blocks(dynamic=False)
        self.modules: Mapping[str, nn.Module] = components
        self.models = {name: DualTower(tower, self.audio, self.bridge) for name, tower in self.experts.items()}
        self.ranges = expert_ranges(config.boundary_ratio)
        self.clips = load_latents(latents, "train", config.data.num_clips, self.device)
        self.validation = load_latents(latents, "validation", _VALIDATION_CLIPS, self.device)

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Towers at the base rate, the bridge at its multiple of it."""
        return [
            *tower_groups("high_noise", self.experts["high_noise"]),
            *tower_groups("low_noise", self.experts["low_noise"]),
            *tower_groups("audio", self.audio),
            ParameterGroup("bridge", list(self.bridge.parameters()), lr_scale=self.config.bridge_lr_scale),
        ]

    def losses(self, step: int, _progress: float, /) -> tuple[dict[str, torch.Tensor]]:
        """Joint velocity losses of one expert's noise range."""
        config = self.config
        expert = config.expert_cycle[step % len(config.expert_cycle)]
        generator = step_generator(config.run.seed, step)
        rows = torch.randint(len(self.clips.video), (config.run.batch_size,), generator=generator)
        no_text = torch.rand(len(rows), generator=generator) < config.text_dropout
        no_image = torch.rand(len(rows), generator=generator)
        use_bridge = float(torch.rand((), generator=generator)) >= config.bridge_dropout
        video_sigma = sample_sigmas(
            len(rows), shift=config.video_shift, generator=generator, within=self.ranges[expert]
        )
        if config.independent_timesteps:
            audio_sigma = sample_sigmas(len(rows), shift=config.audio_shift, generator=generator)
        else:
            # The same time of the schedule for both: the video's shift is undone, the sound's applied.
            audio_sigma = shift_sigma(shift_sigma(video_sigma, 1 / config.video_shift), config.audio_shift)
        batch = TrainingBatch(
            clean=LatentPair(self.clips.video[rows].float(), self.clips.audio[rows].float()),
            condition=self._condition(self.clips, rows, no_image),
            prompt_embeds=_drop_text(self.clips, rows, no_text),
        )
        noise = _noises(batch.clean, noise_generator(config.run.seed, step, self.device))
        draws = Draws(noise, video_sigma.to(self.device), audio_sigma.to(self.device))
        losses = joint_loss(self._forward(expert, use_bridge), batch, draws)
        audio = "audio" if use_bridge else "audio_apart"
        parts = {f"video_{expert}": losses.video.mean(), audio: losses.audio.mean()}
        return ({"loss": losses.total(config.audio_weight)} | parts,)

    def validate(self) -> dict[str, float]:
        """Velocity errors at fixed noise levels, and the synchronisation gauge.

        The gauge is the audio error at sigma 0.8 given the clean right picture and the clean wrong one: it opens long
        before a sampled clip looks good.
        """
        count = len(self.validation.video)
        rows = torch.arange(count)
        clean = LatentPair(self.validation.video.float(), self.validation.audio.float())
        condition = self._condition(self.validation, rows, torch.ones(count))
        batch = TrainingBatch(clean, condition, self.validation.prompts.float())
        noise = _noises(clean, noise_generator(self.config.run.seed + 1, 0, self.device))
        figures = {}
        for level in _VALIDATION_SIGMAS:
            sigma = torch.full((count,), level, device=self.device)
            expert = "high_noise" if level >= self.config.boundary_ratio else "low_noise"
            losses = joint_loss(self._forward(expert, True), batch, Draws(noise, sigma, sigma))
            figures[f"video_error_{level}"] = float(losses.video.mean())
            figures[f"audio_error_{level}"] = float(losses.audio.mean())
        audio_sigma = torch.full((count,), 0.8, device=self.device)
        held = Draws(noise, torch.full_like(audio_sigma, 1e-5), audio_sigma)
        for name, shift in (("right", 0), ("wrong", 1)):
            picture = LatentPair(clean.video.roll(shift, 0), clean.audio)
            losses = joint_loss(
                self._forward("low_noise", True),
                TrainingBatch(picture, condition.roll(shift, 0), batch.prompt_embeds),
                held,
            )
            figures[f"audio_error_given_{name}_video"] = float(losses.audio.mean())
        return figures

    def export(self) -> None:
        """Write the four components."""
        for name, module in self.modules.items():
            write_component(module, self.config.model / name)

    def _forward(self, expert: str, use_bridge: bool) -> JointForward:
        def forward(*tensors: torch.Tensor) -> Velocities:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                velocities: Velocities = self.models[expert](*tensors, frame_rate=FRAME_RATE, use_bridge=use_bridge)
            return velocities

        return forward

    def _condition(self, clips: LatentSet, rows: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
        """Known frames as (B, 4 + C, T, h, w); where `draw` < image_dropout half get none, half a plain white frame."""
        share = self.config.image_dropout
        latents, mask = clips.condition[rows].float(), clips.mask[rows].float()
        nothing = (draw < share / 2).to(self.device)
        white = ((draw >= share / 2) & (draw < share)).to(self.device)
        latents = torch.where(_wide(white, 5), clips.white_condition.float(), latents)
        latents = torch.where(_wide(nothing, 5), 0.0, latents)
        first_only = torch.zeros_like(mask[0])
        first_only[:, 0] = 1
        mask = torch.where(_wide(white, 3), first_only, mask)
        mask = torch.where(_wide(nothing, 3), 0.0, mask)
        return torch.cat((mask[..., None, None].expand(-1, -1, -1, *latents.shape[-2:]), latents), dim=1)


def tower_groups(name: str, tower: nn.Module) -> list[ParameterGroup]:
    """Blocks apart from embeddings and head, whose rows are no features for Muon."""
    named = list(tower.named_parameters())
    return [
        ParameterGroup(f"{name} blocks", [p for key, p in named if not key.startswith(_FIRST_LAYERS)]),
        ParameterGroup(f"{name} ends", [p for key, p in named if key.startswith(_FIRST_LAYERS)], matrices=False),
    ]


def _with_silent_head(tower: Tower) -> Tower:
    """Let a new tower begin by predicting zero velocity, the mean of its targets."""
    nn.init.zeros_(tower.head.head.weight)
    nn.init.zeros_(tower.head.head.bias)
    return tower


def _drop_text(clips: LatentSet, rows: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
    return torch.where(_wide(dropped.to(clips.prompts.device), 3), clips.null_prompt, clips.prompts[rows]).float()


def _noises(clean: LatentPair, generator: torch.Generator) -> LatentPair:
    return LatentPair(_noise(clean.video, generator), _noise(clean.audio, generator))


def _noise(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device)


def _wide(flags: torch.Tensor, ndim: int) -> torch.Tensor:
    return flags.view(-1, *(1,) * (ndim - 1))
