"""Adapters on the joint objective: both experts, the audio tower and the bridge in one run, the base frozen."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from mova.distributed.mesh import ALONE, Parallel
from mova.distributed.sharded_init import ShardedInit
from mova.errors import ConfigError
from mova.kernels.cpu_attention import use_cpu_attention
from mova.names import COMPONENTS, Component, published_class
from mova.train.build.adapters import add_adapters, check_targets, take_adapters
from mova.train.build.components import refuse_quantized
from mova.train.build.placement import load_device
from mova.train.config.joint import AdapterStageConfig
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.trainer import OnProgress, choose_device
from mova.train.stages.joint import JointObjective
from mova.train.stages.latent_stage import OpenSplits
from mova.weights.components import key_shapes, load_component, verify_component
from mova.weights.files import key_shape_md5
from mova.weights.locate import find_model
from mova.weights.lora.adapters import Lora, LoraOrigin
from mova.weights.lora.file import write_lora
from mova.weights.quantize.layers import Quantizer, summarise_errors
from mova.weights.rows import StoredRows, empty_component

logger = logging.getLogger(__name__)


class LoraStage(JointObjective):
    """Trains adapters of a finished model and writes them as one LoRA file.

    The clips are encoded with the base's own encoders first, unless the folder holds them already.

    Args:
        config: the recipe.
        cache: folder of encoded clips.
        parallel: this process among the others.

    Attributes:
        quantization_errors: relative error of each quantised weight, by component and key; empty for a plain base.

    Raises:
        ConfigError: a target that names no layer, or an expert that the base has not.
        MissingExtraError: PEFT, or bitsandbytes for a quantised base, is not installed.
        CheckpointError: the base is damaged or missing.
    """

    name = "lora"

    def __init__(
        self, config: AdapterStageConfig, cache: Path, parallel: Parallel = ALONE, on_progress: OnProgress | None = None
    ) -> None:
        self.config = config
        device = choose_device(config.run.device)
        base = find_model(config.base)
        present = [name for name in COMPONENTS if (base / name).is_dir()]
        self.adapters = config.adapters.chosen()
        absent = [name for name in self.adapters if name not in present]
        if absent or not self.adapters:
            raise ConfigError(
                f"adapters must be for components of {config.base} ({', '.join(present)}), got "
                f"{', '.join(absent) or 'rank 0 for all'}; rank 0 leaves a component out"
            )
        for name in present:
            refuse_quantized(base / name)
        for name, adapter in self.adapters.items():
            check_targets(base / name, name, adapter)
        # The base's own encoders, unless the recipe names others.
        config_of_data = config.model_copy(update={"encoders": config.encoders or config.base})
        known = tuple(config.conditions.frames())
        data = OpenSplits(config_of_data, cache, device, parallel, on_progress, known)
        torch.manual_seed(config.run.seed)
        self.quantization_errors: dict[str, dict[str, float]] = {}
        own = ShardedInit.of(parallel, device)
        components = {name: self._load(base, name, device, own) for name in present}
        # Of the base as it is published, however it is kept here.
        self.base_md5 = {str(name): key_shape_md5(key_shapes(verify_component(base / name))) for name in self.adapters}
        self.parts = {
            name: add_adapters(components[name], name, adapter).to(device) for name, adapter in self.adapters.items()
        }
        self.modules: Mapping[str, nn.Module] = {str(name): parts for name, parts in self.parts.items()}
        super().__init__(config_of_data, data, components, device, parallel, own)

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
        config = self.config
        return Lora(
            layers={name: take_adapters(parts, self.adapters[name]) for name, parts in self.parts.items()},
            origin=LoraOrigin(
                base_model=_public_name(config.base, find_model(config.base)),
                base_md5=self.base_md5,
                recipe_sha256=hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
            ),
            name=config.output,
        )

    def export(self) -> None:
        """Write the LoRA file."""
        lora = self.lora()
        if self.parallel.is_main:
            self.config.model.mkdir(parents=True, exist_ok=True)
            write_lora(lora, self.config.model / self.config.output)

    def _load(self, base: Path, name: Component, device: torch.device, own: ShardedInit | None) -> nn.Module:
        use_cpu_attention()
        memory = self.config.memory
        automatic = torch.bfloat16 if device.type == "cuda" else torch.float32
        dtype = automatic if memory.base_dtype == "auto" else getattr(torch, memory.base_dtype)
        if own:
            component, stored = empty_component(base / name, published_class(name), dtype), StoredRows(base / name)
            # A layer with an adapter is called by another name than on disk.
            own.keep(component, lambda key, rows: stored.read(key.replace(".base_layer.", "."), rows))
            return component.train().requires_grad_(False)
        quantizer = None if memory.base_quantization == "none" else Quantizer(memory.base_quantization, device)
        component = load_component(
            base / name,
            expected_class=published_class(name),
            dtype=dtype,
            device=load_device(name, memory, device),
            quantizer=quantizer,
        )
        if quantizer:
            self.quantization_errors[str(name)] = quantizer.errors
            logger.info("%s in %s: %s", name, quantizer.method, summarise_errors(quantizer.errors))
        return component.train().requires_grad_(False)


def _public_name(base: str, folder: Path) -> str:
    """Return what a LoRA says of its base: a path says nothing on another machine, and too much of this one."""
    return folder.resolve().name if Path(base).is_dir() else base
