"""The towers and the bridge that a recipe begins with: drawn at random, left by an earlier stage, or from a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from mova.distributed.fsdp import full_state
from mova.distributed.mesh import Parallel
from mova.distributed.sharded_init import ShardedInit
from mova.errors import CheckpointError, ConfigError
from mova.kernels.cpu_attention import use_cpu_attention
from mova.models.presets import mova_360p, tiny
from mova.models.tower import AudioTower, VideoTower
from mova.names import Component, published_class
from mova.train.config.joint import StartConfig
from mova.weights.components import (
    build_empty,
    component_class,
    load_component,
    read_config,
    stored_quantization,
    write_component,
)
from mova.weights.locate import find_model
from mova.weights.rows import StoredRows, empty_component

_SIZES = {"tiny": tiny, "mova_360p": mova_360p}


def build_components(
    start: StartConfig, names: Sequence[Component], model: Path, own: ShardedInit | None = None
) -> dict[Component, nn.Module]:
    """Return components in the order of `names`, in float32 on the CPU.

    New ones are drawn from the global generator in that order; a new tower begins by predicting zero velocity, the mean
    of its targets.

    Args:
        start: where each begins.
        names: which are wanted.
        model: the recipe's model directory.
        own: sharded initialisation of a process among several: components stay on the meta device until it gives values
            that one process would have.

    Raises:
        ConfigError: `changes` names a key that there is not, or changes a component that is not new.
        CheckpointError: a component is missing, damaged or of another class.
    """
    for name in start.changes:
        if getattr(start, name) != "new":
            raise ConfigError(f"start.changes can change only new components, got {name}: {getattr(start, name)}")
    use_cpu_attention()
    return {name: _build(start, name, model, own) for name in names}


def export_component(component: nn.Module, name: Component, model: Path, parallel: Parallel) -> None:
    """Write a component in the published layout, whole, also where processes hold parts of it; all must call this."""
    if parallel.mesh is None:
        write_component(component, model / name)
        return
    state = full_state(component)
    if parallel.is_main:
        copy = build_empty(published_class(name), dict(cast("Any", component).config))
        copy.load_state_dict(state, assign=True)
        write_component(copy, model / name)
    parallel.barrier()


def _build(start: StartConfig, name: Component, model: Path, own: ShardedInit | None) -> nn.Module:
    source = getattr(start, name)
    if source == "new":
        return _new(start, name, own)
    folder = component_folder(source, name, model)
    refuse_quantized(folder)
    if own is None:
        return load_component(folder, expected_class=published_class(name), dtype=torch.float32).train()
    component = empty_component(folder, published_class(name), torch.float32)
    own.keep(component, StoredRows(folder).read)
    return component.train()


def refuse_quantized(folder: Path) -> None:
    """Refuse a component whose weights are stored quantised: training begins with plain ones.

    Raises:
        CheckpointError: it is quantised, or has no usable config.
    """
    method = stored_quantization(read_config(folder))
    if method:
        raise CheckpointError(
            f"training must begin with plain weights, got {method} in {folder}; a frozen base is quantised by "
            f"memory.base_quantization: {method}"
        )


def component_folder(source: str, name: str, model: Path) -> Path:
    """Return the folder of a component that a recipe begins with.

    Args:
        source: "model" for the recipe's own, a model (a shipped name, a directory, a hub id), or a component's folder.
        name: name of the component.
        model: the recipe's model directory.

    Raises:
        CheckpointError: there is no such component.
    """
    if source == "model":
        folder = model / name
        if not folder.is_dir():
            raise CheckpointError(f"start.{name} is model, but {folder} is missing; run the stage that makes it first")
        return folder
    if (Path(source) / "config.json").is_file():
        return Path(source)
    folder = find_model(source) / name
    if not folder.is_dir():
        raise CheckpointError(f"start.{name} is {source}, which has no folder {name}")
    return folder


def _new(start: StartConfig, name: Component, own: ShardedInit | None) -> nn.Module:
    arguments: dict[str, Any] = _SIZES[start.sizes]()[name]
    changes = start.changes.get(name, {})
    unknown = sorted(set(changes) - set(arguments))
    if unknown:
        raise ConfigError(
            f"start.changes.{name} must name keys of its config ({', '.join(sorted(arguments))}), "
            f"got {', '.join(unknown)}"
        )
    build = partial(component_class(published_class(name)), **arguments | changes)
    if own is None:
        component = build()
        weights = {key: parameter.detach() for key, parameter in component.named_parameters()}
    else:
        component, weights = own.draw(build)
        # Let go one by one: what has been given to the component is not held here too.
        own.keep(component, lambda key, _: weights.pop(key))
    if isinstance(component, VideoTower | AudioTower):
        for key in ("head.head.weight", "head.head.bias"):
            weights[key].zero_()
    return component.train()
