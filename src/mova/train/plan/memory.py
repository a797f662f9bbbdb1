"""What a LoRA run will take on the device and on the host, counted from its recipe before anything is loaded.

Weights, adapters and what the optimiser keeps are counted exactly, tensor by tensor, on components without memory. What
a block takes while it is computed comes from one run of it on fake tensors (`mova.train.plan.unit_memory`). Left out:
the CUDA context (about 0.5 GB), what kernels take inside, and the allocator's losses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from mova.data.config import MediaDataConfig
from mova.data.sources.toy import ToySource
from mova.geometry import ClipGeometry
from mova.models.bridge import interaction_layers
from mova.names import AUDIO_TOWER, BRIDGE, COMPONENTS, EXPERTS, TOWERS, VIDEO_TOWER, Component, published_class
from mova.offload.residency import frozen_tensors
from mova.offload.streaming import NUM_SLOTS, block_bytes, block_sequences, outside_blocks
from mova.plan.published import find_configs, find_dims
from mova.train.config.joint import AdapterConfig, LoraConfig
from mova.train.plan.unit_memory import UnitMemory, UnitSizes, cast_weights, measure_units
from mova.weights.components import build_empty
from mova.weights.dims import ModelDims
from mova.weights.lora.adapters import TARGETS, select_layers
from mova.weights.quantize.layers import install_quantized_layers

GB = 1e9
_FLOAT32 = 4
# Optimisers in 8 bits: values that share a scale, and the smallest matrix that is kept so.
_EIGHT_BIT_GROUP, _EIGHT_BIT_SMALLEST = 256, 4096


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes on the device at the peak of a step, by what they are for.

    Attributes:
        weights: frozen weights that are there from forward to backward.
        slots: room for the blocks that are streamed.
        adapters: what is trained, in float32.
        gradients: bytes of the adapters of an expert and of what the experts share.
        optimizer: its averages.
        average: bytes of the weights (EMA).
        kept: what lies between forward and backward: inputs of blocks, or all that they save.
        working: most that one block takes beside.
        latents: clips, their noise and conditions, what the model says of them.
    """

    weights: int
    slots: int
    adapters: int
    gradients: int
    optimizer: int
    average: int
    kept: int
    working: int
    latents: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())


@dataclass(frozen=True)
class HostMemory:
    """Bytes on the host; all but the clips have to be pinned where CUDA reads them.

    Attributes:
        blocks: frozen blocks that are streamed.
        experts: bytes of the expert that waits, as far as it is moved as a whole.
        activations: inputs of blocks that wait for the backward pass.
        clips: encoded clips and captions that are kept in memory, of both splits.
    """

    blocks: int
    experts: int
    activations: int
    clips: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())


@dataclass(frozen=True)
class TrainingMemory:
    """The plan of a run.

    Attributes:
        geometry: size and length of the largest clips.
        batch: samples at once.
        is_gpu: whether it is planned for a GPU.
        device: bytes at the peak.
        host: bytes.
        largest: name of the block that takes most.
        units: what one block takes, by name.
    """

    geometry: ClipGeometry
    batch: int
    is_gpu: bool
    device: DeviceMemory
    host: HostMemory
    largest: str
    units: Mapping[str, UnitMemory]

    def lines(self) -> list[str]:
        """Return the plan as text."""
        clip, device, host = self.geometry, self.device, self.host
        parts = [f"{value / GB:.2f} {name}" for name, value in asdict(device).items() if value]
        waiting = [f"{value / GB:.2f} {name}" for name, value in asdict(host).items() if value]
        where = "a GPU" if self.is_gpu else "the CPU"
        return [
            f"memory on {where} for {self.batch} x {clip.width}x{clip.height}, {clip.num_frames} frames "
            f"({clip.num_video_tokens:,} video tokens), without the program itself:",
            f"  device {device.total / GB:.2f} GB = {' + '.join(parts)} (most for {self.largest})",
            f"  host {host.total / GB:.2f} GB" + (f" = {' + '.join(waiting)}" if waiting else ""),
        ]


def plan_lora(config: LoraConfig, *, is_gpu: bool = True, clips_bytes: int = 0) -> TrainingMemory:
    """Count what a LoRA recipe takes.

    Args:
        config: the recipe.
        is_gpu: whether a GPU computes: in bfloat16, where the recipe leaves it open.
        clips_bytes: bytes of encoded clips and captions that are kept on the host.

    Raises:
        CheckpointError: the base is neither a known model nor on this disk; a plan downloads nothing.
        MissingExtraError: PEFT, or bitsandbytes for a quantised base, is not installed.
    """
    plan = plan_model(config, find_configs(config.base), find_dims(config.base), is_gpu=is_gpu)
    return replace(plan, host=replace(plan.host, clips=clips_bytes))


def plan_model(
    config: LoraConfig, model: Mapping[str, Mapping[str, object]], dims: ModelDims, *, is_gpu: bool
) -> TrainingMemory:
    """Count what a recipe takes with a model that is known by its configs.

    Args:
        config: the recipe; its `base` is not looked at.
        model: published keys of each component's config.json, by folder.
        dims: dimensions of the model.
        is_gpu: as in `plan_lora`.

    Raises:
        MissingExtraError: as `plan_lora`.
    """
    memory = config.memory
    configs: dict[Component, Mapping[str, Any]] = {name: model[name] for name in COMPONENTS if name in model}
    adapters = {name: one for name, one in config.adapters.chosen().items() if name in configs}
    automatic = torch.bfloat16 if is_gpu else torch.float32
    dtype = automatic if memory.base_dtype == "auto" else getattr(torch, memory.base_dtype)
    method = None if memory.base_quantization == "none" else memory.base_quantization
    components = {name: build_empty(published_class(name), found) for name, found in configs.items()}
    shapes = {name: _adapter_shapes(components[name], name, adapter) for name, adapter in adapters.items()}
    for component in components.values():
        if method:
            install_quantized_layers(component, method)
        cast_weights(component.requires_grad_(False), dtype)
    geometry = largest_geometry(config, dims)
    batch = config.run.micro_batch or config.run.batch_size
    grid = geometry.token_grid
    sizes = UnitSizes(batch, grid, geometry.num_audio_latents, dims.num_prompt_tokens, dtype, autocast=is_gpu)
    units = measure_units(configs, adapters, sizes, method)
    calls = _calls(configs)
    # What waited on the host has come back for the block that needs it; a GPU fetches that of the next one beside it.
    num_back = (2 if is_gpu else 1) if memory.offload_activations else 0
    working = {name: _working(units[name], num_back) for name in calls}
    largest = max(working, key=lambda name: working[name])
    idle_expert = _outside(components, config) if memory.one_expert else 0
    weights, slots, stored = _frozen_bytes(components, config)
    learned = {name: sum(rows * columns for rows, columns in found) for name, found in shapes.items()}
    in_turn = max((learned.get(name, 0) for name in EXPERTS.values()), default=0)
    device = DeviceMemory(
        weights=weights,
        slots=slots,
        adapters=_FLOAT32 * sum(learned.values()),
        gradients=_FLOAT32 * (in_turn + sum(n for name, n in learned.items() if name not in EXPERTS.values())),
        optimizer=sum(_optimizer_bytes(shape, config) for found in shapes.values() for shape in found),
        average=_FLOAT32 * sum(learned.values()) if config.run.ema_decay else 0,
        kept=_kept(units, calls, sizes, configs, config),
        working=working[largest],
        latents=batch * _latent_bytes(geometry, dims),
    )
    offloaded = _tokens(units, calls) + units["video_dit"].shared + units["audio_dit"].shared
    host = HostMemory(stored, idle_expert, offloaded if memory.offload_activations else 0)
    return TrainingMemory(geometry, batch, is_gpu, device, host, largest, units)


def largest_geometry(config: LoraConfig, dims: ModelDims) -> ClipGeometry:
    """Return the geometry of the recipe's largest clips."""
    data = config.data
    if isinstance(data, MediaDataConfig):
        sizes, frame_rate = data.sizes, data.frame_rate
    else:
        sizes, frame_rate = (f"{data.size}x{data.size}",), ToySource.frame_rate
    pairs = [tuple(int(number) for number in size.split("x")) for size in sizes]
    width, height = max(pairs, key=math.prod)
    return ClipGeometry(height, width, data.num_frames, frame_rate, dims.codec)


def _calls(configs: Mapping[Component, Mapping[str, Any]]) -> dict[str, int]:
    """Return how often a forward calls each unit."""
    bridge = configs["dual_tower_bridge"]
    video, audio = int(configs["video_dit"]["num_layers"]), int(configs["audio_dit"]["num_layers"])
    meetings = len(interaction_layers(bridge.get("interaction_strategy", "full"), video, audio))
    return {VIDEO_TOWER: video, AUDIO_TOWER: audio, "audio_to_video": meetings, "video_to_audio": meetings} | {
        "video_head": 1,
        "audio_head": 1,
    }


def _working(unit: UnitMemory, num_back: int) -> int:
    return unit.peak + num_back * (unit.inputs + unit.shared)


def _kept(
    units: Mapping[str, UnitMemory],
    calls: Mapping[str, int],
    sizes: UnitSizes,
    configs: Mapping[Component, Mapping[str, Any]],
    config: LoraConfig,
) -> int:
    """Return what is on the device between forward and backward."""
    video = units["video_dit"].inputs
    audio = units["audio_dit"].inputs
    shared = units["video_dit"].shared + units["audio_dit"].shared + _table_bytes(sizes, configs)
    if config.memory.offload_activations:
        return shared + video + audio
    # What left the last blocks is read by the heads.
    tokens = _tokens(units, calls) + video + audio
    if config.memory.checkpoint_activations:
        return shared + tokens
    return shared + tokens + sum(count * units[name].saved for name, count in calls.items())


def _tokens(units: Mapping[str, UnitMemory], calls: Mapping[str, int]) -> int:
    """Return the bytes of all tokens that enter blocks: the bridge reads what blocks wrote, and writes anew."""
    meetings = calls["audio_to_video"]
    return sum((calls[name] + meetings) * units[name].inputs for name in TOWERS)


def _table_bytes(sizes: UnitSizes, configs: Mapping[Component, Mapping[str, Any]]) -> int:
    """Return the bytes of the rotary tables: cosine and sine of half a head's channels for each token."""
    video, audio, bridge = (configs[name] for name in (*TOWERS, BRIDGE))
    common = bridge["head_dim"] if bridge.get("apply_cross_rope", True) else 0
    heads = [tower["dim"] // tower["num_heads"] + common for tower in (video, audio)]
    return _FLOAT32 * int(sizes.num_video * heads[0] + sizes.num_audio * heads[1])


def _frozen_bytes(components: Mapping[Component, nn.Module], config: LoraConfig) -> tuple[int, int, int]:
    """Return the bytes of frozen weights on the device all the time, of slots, and of blocks on the host."""
    memory = config.memory
    if not memory.stream_blocks:
        on_device = {name: _bytes_of(component) for name, component in components.items()}
        if memory.one_expert and all(name in components for name in EXPERTS.values()):
            on_device["video_dit_2"] = 0
        return sum(on_device.values()), 0, 0
    outside = {name: sum(map(_size, outside_blocks(component))) for name, component in components.items()}
    if memory.one_expert and all(name in components for name in EXPERTS.values()):
        outside["video_dit_2"] = 0
    largest: dict[tuple[str, int], int] = {}
    stored = 0
    for component in components.values():
        for number, sequence in enumerate(block_sequences(component)):
            sizes = [block_bytes(block) for block in sequence]
            stored += sum(sizes)
            place = (type(component).__name__, number)
            largest[place] = max(largest.get(place, 0), *sizes)
    return sum(outside.values()), NUM_SLOTS * sum(largest.values()), stored


def _outside(components: Mapping[Component, nn.Module], config: LoraConfig) -> int:
    """Return the bytes of an expert that waits: all of it, or what is outside its streamed blocks."""
    waiting = components.get("video_dit_2")
    if waiting is None:
        return 0
    return sum(map(_size, outside_blocks(waiting))) if config.memory.stream_blocks else _bytes_of(waiting)


def _adapter_shapes(component: nn.Module, name: Component, adapter: AdapterConfig) -> list[tuple[int, int]]:
    linears = {path: module for path, module in component.named_modules() if isinstance(module, nn.Linear)}
    shapes = []
    for path in select_layers(linears, adapter.targets or TARGETS[name]):
        layer = linears[path]
        shapes += [(adapter.rank, layer.in_features), (layer.out_features, adapter.rank)]
    return shapes


def _optimizer_bytes(shape: tuple[int, int], config: LoraConfig) -> int:
    size = math.prod(shape)
    if config.optimizer.name == "muon":
        return _FLOAT32 * size
    if config.optimizer.name == "adamw8bit" and size >= _EIGHT_BIT_SMALLEST:
        return 2 * (size + _FLOAT32 * math.ceil(size / _EIGHT_BIT_GROUP))
    return 2 * _FLOAT32 * size


def _latent_bytes(geometry: ClipGeometry, dims: ModelDims) -> int:
    """Return float32 bytes of one clip in a step: clean, noise, noisy, target and velocity, condition, model input."""
    video, audio = math.prod(geometry.video_latent_shape), math.prod(geometry.audio_latent_shape)
    cells = video // geometry.codec.video_channels
    condition = (dims.video.in_dim - dims.video.out_dim) * cells
    prompt = dims.num_prompt_tokens * dims.video.text_dim
    return _FLOAT32 * (5 * video + condition + dims.video.in_dim * cells + 5 * audio + prompt)


def _bytes_of(component: nn.Module) -> int:
    return sum(map(_size, frozen_tensors(component)))


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
