"""What one block of each kind takes while it is computed again and its gradients are, found with fake tensors.

The real modules run once, forward and backward, at full width with adapters and quantised weights, on tensors without
memory (`mova.train.plan.allocations`): the code that trains is what is counted, so the two cannot drift apart. CPU
operations stand for those of a GPU; both keep the same tensors for a backward pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from mova.diffusion.flow import velocity_loss
from mova.models.bridge import CrossModalBridge
from mova.models.rope import RotaryTable
from mova.models.tower import AudioTower, DiTTower, TowerInputs, VideoTower
from mova.names import Component, published_class
from mova.train.build.adapters import add_adapters
from mova.train.config.joint import AdapterConfig
from mova.train.plan.allocations import Allocations
from mova.weights.components import build_empty
from mova.weights.quantize.codes import is_quantized
from mova.weights.quantize.layers import install_quantized_layers
from mova.weights.quantize.layout import Method


@dataclass(frozen=True)
class UnitMemory:
    """Bytes of one block (or layer of the bridge, or head with its loss).

    Attributes:
        inputs: what enters it and belongs to it alone: tokens.
        shared: what enters it and is the same for all of its kind: text and noise level.
        saved: what its forward leaves for its backward pass, where it is not computed again.
        peak: most that is alive beside its inputs while it is computed and its gradients are.
    """

    inputs: int
    shared: int
    saved: int
    peak: int


@dataclass(frozen=True)
class UnitSizes:
    """What the sizes of inputs follow from.

    Attributes:
        batch: B, samples at once.
        grid: video tokens along time, height and width.
        num_audio: A.
        num_prompt: P.
        dtype: dtype of weights that are neither quantised nor kept in float32, and of tokens.
        autocast: whether it computes in bfloat16, as on a GPU.
    """

    batch: int
    grid: tuple[int, int, int]
    num_audio: int
    num_prompt: int
    dtype: torch.dtype
    autocast: bool

    @property
    def num_video(self) -> int:
        """V."""
        return self.grid[0] * self.grid[1] * self.grid[2]


def cast_weights(component: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Give weights the dtype that `load_component` gives them: some parts stay in float32. Return the component."""
    kept = tuple(getattr(component, "_keep_in_fp32_modules", None) or ())
    for key, parameter in component.named_parameters():
        if is_quantized(parameter):
            continue
        parameter.data = parameter.data.to(torch.float32 if any(part in key.split(".") for part in kept) else dtype)
    return component


def measure_units(
    configs: Mapping[Component, Mapping[str, object]],
    adapters: Mapping[Component, AdapterConfig],
    sizes: UnitSizes,
    method: Method | None,
) -> dict[str, UnitMemory]:
    """Run one block of each kind on fake tensors.

    Args:
        configs: configurations of the components.
        adapters: adapters by component, of those that have some.
        sizes: sizes of the inputs.
        method: quantisation method of the weights.

    Returns:
        By name: `video_dit`, `video_dit_2`, `audio_dit` (a block of each), `audio_to_video`, `video_to_audio` (layers
        of the bridge), `video_head`, `audio_head`.

    Raises:
        MissingExtraError: PEFT, or bitsandbytes for quantised weights, is not installed.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    units: dict[str, UnitMemory] = {}
    for name, config in configs.items():
        component = _one_layer(name, config, adapters.get(name), sizes.dtype, method)
        with FakeTensorMode():
            _make_fake(component)
            if isinstance(component, CrossModalBridge):
                units |= _bridge_units(component, sizes)
                continue
            tower = cast("DiTTower", component)
            num_tokens = sizes.num_video if isinstance(tower, VideoTower) else sizes.num_audio
            units[name] = _block_unit(tower, num_tokens, sizes)
            units["audio_head" if isinstance(tower, AudioTower) else "video_head"] = _head_unit(tower, sizes)
    return units


def _one_layer(
    name: Component,
    config: Mapping[str, Any],
    adapter: AdapterConfig | None,
    dtype: torch.dtype,
    method: Method | None,
) -> nn.Module:
    fewer: dict[str, Any] = {"num_layers": 1}
    if name == "dual_tower_bridge":
        fewer = {"visual_layers": 1, "audio_layers": 1, "interaction_strategy": "full"}
    component = build_empty(published_class(name), {**config, **fewer}).train()
    if method:
        install_quantized_layers(component, method)
    cast_weights(component.requires_grad_(False), dtype)
    if adapter:
        # Layers that are named one by one: the only layer here stands for all of them.
        targets = tuple(dict.fromkeys(re.sub(r"^(\w+)\.\d+\.", r"\1.0.", target) for target in adapter.targets))
        add_adapters(component, name, adapter.model_copy(update={"targets": targets}))
    return component


def _make_fake(component: nn.Module) -> None:
    """Put fake tensors in the place of a component's, and gradients beside those that learn."""
    for module in component.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                empty = torch.empty(parameter.shape, dtype=parameter.dtype)
                fake = nn.Parameter(empty, requires_grad=parameter.requires_grad)
                fake.grad = torch.empty_like(empty) if parameter.requires_grad else None
                module._parameters[name] = fake
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _block_unit(tower: DiTTower, num_tokens: int, sizes: UnitSizes) -> UnitMemory:
    dim, batch = int(tower.config.dim), sizes.batch
    tokens = _tokens(batch, num_tokens, dim, sizes.dtype)
    context = torch.empty(batch, sizes.num_prompt, dim, dtype=sizes.dtype)
    modulation = torch.empty(batch, 6, dim)
    rotary = _rotary(num_tokens, tower.head_dim)
    block = tower.blocks[0]
    return _measure(lambda: block(tokens, context, modulation, rotary), [tokens], [context, modulation], sizes)


def _head_unit(tower: DiTTower, sizes: UnitSizes) -> UnitMemory:
    is_video, dim = isinstance(tower, VideoTower), int(tower.config.dim)
    grid = sizes.grid if is_video else (sizes.num_audio,)
    tokens = _tokens(sizes.batch, sizes.num_video if is_video else sizes.num_audio, dim, sizes.dtype)
    embedding = torch.empty(sizes.batch, dim)
    cells = [size * patch for size, patch in zip(grid, tower.patch_size, strict=True)]
    target = torch.empty(sizes.batch, int(tower.config.out_dim), *cells)
    inputs = TowerInputs(tokens, [tokens], embedding, embedding, _rotary(1, tower.head_dim), grid)
    return _measure(lambda: velocity_loss(tower.finish(tokens, inputs), target).sum(), [tokens], [embedding], sizes)


def _bridge_units(bridge: CrossModalBridge, sizes: UnitSizes) -> dict[str, UnitMemory]:
    config = bridge.config
    found = {}
    sides = {
        "video": (sizes.num_video, int(config.visual_hidden_dim)),
        "audio": (sizes.num_audio, int(config.audio_hidden_dim)),
    }
    for name, conditioners, (hears, heard) in (
        ("audio_to_video", bridge.audio_to_video_conditioners, ("video", "audio")),
        ("video_to_audio", bridge.video_to_audio_conditioners, ("audio", "video")),
    ):
        layer = next(iter(conditioners.children()))
        x, other = (_tokens(sizes.batch, *sides[side], sizes.dtype) for side in (hears, heard))
        tables = [_rotary(sides[side][0], bridge.head_dim) for side in (hears, heard)]
        found[name] = _measure(lambda *given: layer(*given, sizes.grid[0]), [x, other], [], sizes, tables)  # noqa: B023
    return found


def _measure(
    call: Callable[..., torch.Tensor],
    inputs: Sequence[torch.Tensor],
    shared: Sequence[torch.Tensor],
    sizes: UnitSizes,
    tables: Sequence[RotaryTable] = (),
) -> UnitMemory:
    given = (*inputs, *tables) if tables else ()
    with Allocations() as allocations:
        with _autocast(sizes.autocast):
            output = call(*given)
        saved = allocations.alive_bytes - output.untyped_storage().nbytes()
        # Where the block is computed again, the gradient of its output is there before.
        output.backward(torch.empty_like(output))  # type: ignore[no-untyped-call]
    return UnitMemory(_bytes(inputs), _bytes(shared), saved, allocations.peak_bytes)


@contextmanager
def _autocast(enabled: bool) -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled, cache_enabled=False):
        yield


def _tokens(batch: int, number: int, dim: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(batch, number, dim, dtype=dtype, requires_grad=True)


def _rotary(number: int, head_dim: int) -> RotaryTable:
    return RotaryTable(torch.empty(number, 1, head_dim // 2), torch.empty(number, 1, head_dim // 2))


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
