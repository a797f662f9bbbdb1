"""Adapters in a model that trains: put in by PEFT, taken out as a `Lora` with the rank and alpha that they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mova.distributed.fsdp import whole
from mova.distributed.sharded_init import placeholder_weights
from mova.errors import MissingExtraError
from mova.weights.components import verify_component
from mova.weights.lora.adapters import TARGETS, LoraLayer, select_layers

if TYPE_CHECKING:
    from mova.train.config import AdapterConfig

_NAME = "default"


def add_adapters(component: nn.Module, name: str, config: AdapterConfig) -> nn.Module:
    """Freeze a component and give it adapters: down drawn uniformly (Kaiming), up zero, so that nothing changes yet.

    Args:
        component: a tower or the bridge; changed in place.
        name: name of the component in `TARGETS`.
        config: rank, alpha, targets, dropout.

    Returns:
        A module that holds the adapters and nothing of the base, for the optimiser and for checkpoints.

    Raises:
        ConfigError: a target that names no linear layer.
        MissingExtraError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "peft", "train") from error
    linears = [path for path, module in component.named_modules() if isinstance(module, nn.Linear)]
    # Endings of whole paths, resolved here: PEFT would take any part of a path for a match.
    chosen = select_layers(linears, config.targets or TARGETS[name])
    # PEFT's own alpha is a whole number in its annotations only.
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]
        target_modules=chosen,
        lora_dropout=config.dropout,
        init_lora_weights=True,
    )
    # Adapters go where the weights are, and must not be lost where those have no values yet.
    with placeholder_weights(component):
        inject_adapter_in_model(settings, component, adapter_name=_NAME)
    parts = nn.ModuleDict()
    for path, layer in component.named_modules():
        if path in chosen:
            layer.register_forward_pre_hook(_cast_where_needed)
            # A key of a ModuleDict must not hold a dot.
            parts[path.replace(".", "/")] = nn.ModuleDict(
                {"down": layer.lora_A[_NAME], "up": layer.lora_B[_NAME], "dropout": layer.lora_dropout[_NAME]}
            )
    # Half-precision masters would lose the small steps of the optimiser; PEFT casts what enters and what leaves.
    return parts.float()


def _cast_where_needed(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Forward pre-hook: where autocast rounds to bfloat16 anyway, a float32 copy of the input is for nothing.

    Not while a block is compiled: the compiler leaves the copy out by itself, and gives up a block that is computed
    again in its backward pass (and says nothing) if an attribute changes in it.
    """
    if torch.compiler.is_compiling():
        return
    layer.cast_input_dtype_enabled = not torch.is_autocast_enabled(inputs[0].device.type)  # type: ignore[assignment]


@contextmanager
def without_adapters(components: Iterable[nn.Module]) -> Iterator[None]:
    """Let the frozen base compute alone for the time of the block, without its adapters.

    PEFT's own switch also says of every adapter anew whether it is trained, which sharded weights look at only once.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers: list[Any] = [
        layer for component in components for layer in component.modules() if isinstance(layer, BaseTunerLayer)
    ]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False


def check_targets(folder: Path, name: str, config: AdapterConfig) -> None:
    """Find out from a component's config alone whether every target names a layer.

    Raises:
        ConfigError: a target that names none.
        CheckpointError: the component is damaged.
    """
    component = verify_component(folder)
    linears = [path for path, module in component.named_modules() if isinstance(module, nn.Linear)]
    select_layers(linears, config.targets or TARGETS[name])


def take_adapters(parts: nn.Module, config: AdapterConfig) -> dict[str, LoraLayer]:
    """Return what `add_adapters` put in, by path of the layer.

    Args:
        parts: what it returned.
        config: the same.
    """
    layers = {}
    for key, part in parts.named_children():
        down, up = (whole(part.get_submodule(side).get_parameter("weight").detach()) for side in ("down", "up"))
        layers[key.replace("/", ".")] = LoraLayer(
            down=down.to("cpu", copy=True), up=up.to("cpu", copy=True), alpha=config.alpha
        )
    return layers
