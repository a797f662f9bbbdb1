"""Adapters on the joint objective: both experts, the audio tower and the bridge in one run, the base frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mova.diffusion.timesteps import expert_ranges
from mova.errors import ConfigError
from mova.generate.locate import find_model
from mova.models.convert import key_shape_md5, key_shapes, load_component
from mova.models.dual_tower import DualTower
from mova.models.lora import COMPONENTS, Lora, LoraOrigin
from mova.models.lora_file import write_lora
from mova.train.adapters import add_adapters, take_adapters
from mova.train.config import LatentsConfig, LoraConfig
from mova.train.optimizer import ParameterGroup
from mova.train.stages.joint import JointStage
from mova.train.stages.latents import LatentsStage, load_latents
from mova.train.trainer import choose_device

_CLASSES = {
    "video_dit": "WanModel",
    "video_dit_2": "WanModel",
    "audio_dit": "WanAudioModel",
    "dual_tower_bridge": "DualTowerConditionalBridge",
}


class LoraStage(JointStage):
    """Trains adapters of a finished model and writes them as one LoRA file.

    The clips are encoded with the base's own encoders first, unless the folder holds them already.

    Args:
        config: the recipe.
        latents: folder of encoded clips.

    Raises:
        ConfigError: a target that names no layer, or an expert that the base has not.
        CheckpointError: the base is damaged or missing.
    """

    name = "lora"

    def __init__(self, config: LoraConfig, latents: Path) -> None:
        # Not `super().__init__`, which builds new towers: here they come from the base, losses and validation stay.
        self.config: Any = config
        self.device = choose_device(config.run.device)
        torch.manual_seed(config.run.seed)
        base = find_model(config.base)
        components = {name: _load(base, name, self.device) for name in COMPONENTS if (base / name).is_dir()}
        self.adapters = config.adapters.chosen()
        absent = [name for name in self.adapters if name not in components]
        if absent or not self.adapters:
            raise ConfigError(
                f"adapters must be for components of {config.base} ({', '.join(components)}), got "
                f"{', '.join(absent) or 'rank 0 for all'}; rank 0 leaves a component out"
            )
        self.base_md5 = {name: key_shape_md5(key_shapes(components[name])) for name in self.adapters}
        self.modules: Mapping[str, nn.Module] = {
            name: add_adapters(components[name], name, adapter).to(self.device)
            for name, adapter in self.adapters.items()
        }
        if config.run.compile:
            for component in components.values():
                component.compile_repeated_blocks(dynamic=False)
        self.audio, self.bridge = components["audio_dit"], components["dual_tower_bridge"]
        high_noise = components["video_dit"]
        experts = {"high_noise": high_noise, "low_noise": components.get("video_dit_2", high_noise)}
        self.experts = experts
        self.models = {name: DualTower(tower, components["audio_dit"], self.bridge) for name, tower in experts.items()}
        self.ranges = expert_ranges(config.boundary_ratio)
        _encode(config, base, latents)
        self.clips = load_latents(latents, "train", config.data.num_clips, self.device)
        self.validation = load_latents(latents, "validation", config.validation_clips, self.device)

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Adapters of the towers at the base rate, those of the bridge at their multiple of it."""
        return [
            ParameterGroup(
                name,
                list(parts.parameters()),
                lr_scale=self.config.bridge_lr_scale if name == "dual_tower_bridge" else 1.0,
            )
            for name, parts in self.modules.items()
        ]

    def lora(self) -> Lora:
        """Return the adapters as they are now."""
        config: LoraConfig = self.config
        return Lora(
            layers={name: take_adapters(parts, self.adapters[name]) for name, parts in self.modules.items()},
            origin=LoraOrigin(
                base_model=config.base,
                base_md5=self.base_md5,
                recipe_sha256=hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
            ),
            name=config.output,
        )

    def export(self) -> None:
        """Write the LoRA file."""
        self.config.model.mkdir(parents=True, exist_ok=True)
        write_lora(self.lora(), self.config.model / self.config.output)


def _load(base: Path, name: str, device: torch.device) -> Any:
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    component = load_component(base / name, expected_class=_CLASSES[name], dtype=dtype, device=device)
    return component.requires_grad_(False)


def _encode(config: LoraConfig, base: Path, latents: Path) -> None:
    """Fill the folder of latents; the encoders are forgotten afterwards."""
    encoders = LatentsStage(
        LatentsConfig(
            stage="latents",
            data=config.data,
            model=base,
            validation_clips=config.validation_clips,
            batch_size=8,
            device=config.run.device,
        ),
        latents,
    )
    for encoder in (encoders.video_vae, encoders.audio_vae, encoders.text_encoder):
        # Published in half precision; inputs are float32.
        encoder.float()
    encoders.run()
