"""Which kernels compute a loaded model: the choices of `Runtime` that concern attention, linear layers, compilation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mova.distributed.mesh import ALONE, Parallel
from mova.errors import ConfigError
from mova.kernels.attention_backends import check_backend, use_backend
from mova.kernels.compile import check_compiler, compile_blocks
from mova.kernels.compile_rule import compiling_pays
from mova.kernels.cpu_attention import use_cpu_attention
from mova.kernels.cpu_linear import linears_in_use, use_onednn_linears
from mova.kernels.cpu_memory import keep_freed_memory
from mova.kernels.linear_choice import AUTO
from mova.names import BRIDGE, TOWERS
from mova.pipeline.runtime import Runtime
from mova.weights.index import checked_fields

logger = logging.getLogger(__name__)


def check_kernels(
    runtime: Runtime, folder: Path, device: torch.device, dtype: torch.dtype, parallel: Parallel | None = None
) -> None:
    """Make sure that the chosen kernels can run here; reads no weights.

    Args:
        runtime: the choices.
        folder: the model's directory.
        device: that computes.
        dtype: of towers and bridge.
        parallel: this process among others.

    Raises:
        ConfigError: they cannot: the rule, what was found, and the nearest choice that can.
    """
    if runtime.attention is not None:
        ring = 1 if parallel is None else parallel.ring
        check_backend(runtime.attention, device, dtype, head_dims=head_dims(folder), ring=ring)
    if runtime.compile_blocks:
        check_compiler(device, num_sharing=1 if parallel is None else parallel.context_size)


def check_kernels_of(
    runtime: Runtime, configs: Mapping[str, Mapping[str, object]], device: torch.device, dtype: torch.dtype
) -> None:
    """Make sure, as `check_kernels` does, for one process and a model that is known by its configs.

    Args:
        runtime: the choices.
        configs: published keys of each component's config.json, by folder.
        device: that computes.
        dtype: of towers and bridge.

    Raises:
        ConfigError: the kernels cannot run here.
    """
    if runtime.attention is not None:
        check_backend(runtime.attention, device, dtype, head_dims=_head_dims(configs), ring=1)
    if runtime.compile_blocks:
        check_compiler(device, num_sharing=1)


def use_linears(
    runtime: Runtime,
    networks: Iterable[nn.Module],
    device: torch.device,
    dtype: torch.dtype,
    parallel: Parallel | None = None,
) -> None:
    """Let linear layers compute as was chosen; with `auto` what is fastest is measured, once per machine.

    With `auto` a process that computes on a CPU also keeps the memory that it frees (`mova.kernels.cpu_memory`).

    Args:
        runtime: the choices.
        networks: changed in place, see `use_onednn_linears`.
        device: that computes.
        dtype: of the weights: in float32 alone there is a choice.
        parallel: this process among others, all of which make this call: rank 0's choice counts for all (broadcast).
    """
    networks = list(networks)
    choice = None
    if runtime.kernels == AUTO and device.type == "cpu":
        keep_freed_memory()
    if runtime.kernels == AUTO and device.type == "cpu" and dtype is torch.float32:
        from mova.kernels.calibration import choose_linears

        choice = (parallel or ALONE).broadcast(lambda: choose_linears(networks, runtime.linears))
    use_onednn_linears(networks, choice)


def describe_linears(runtime: Runtime, networks: Iterable[nn.Module]) -> str | dict[str, object]:
    """Return what a clip's record says of the linear layers that made it on a CPU: plain, or the choice with auto."""
    if runtime.kernels != AUTO:
        return runtime.kernels
    from mova.kernels.calibration import machine_name

    return linears_in_use(networks, machine_name()).to_record()


def use_kernels(
    runtime: Runtime, components: Iterable[nn.Module], device: torch.device, parallel: Parallel | None = None
) -> None:
    """Let towers and bridge compute with the chosen kernels, which were checked.

    Args:
        runtime: the choices.
        components: towers and bridge, changed in place.
        device: that computes.
        parallel: this process among others.
    """
    components = list(components)
    use_cpu_attention()
    if runtime.attention is not None:
        use_backend(runtime.attention, components)
    if runtime.compile_blocks or compiles_unasked(runtime, device, parallel):
        compile_blocks(components, or_plain=runtime.compile_blocks is None)


def compiles_unasked(runtime: Runtime, device: torch.device, parallel: Parallel | None = None) -> bool:
    """Say whether blocks are compiled where nobody says it: on CUDA, where it pays and is possible."""
    if runtime.compile_blocks is not None or device.type != "cuda":
        return False
    shares_tokens, processes = (False, 1) if parallel is None else (parallel.context_size > 1, parallel.world_size)
    if shares_tokens or not compiling_pays(runtime.token_forwards // processes, runtime.quantization):
        return False
    try:
        check_compiler(device)
    except ConfigError as error:
        logger.warning("blocks are not compiled, which would pay here: %s", error)
        return False
    return True


def with_compile_settled(runtime: Runtime, device: torch.device) -> Runtime:
    """Return choices that say whether blocks are compiled; a failure is an error then."""
    return replace(runtime, compile_blocks=bool(runtime.compile_blocks) or compiles_unasked(runtime, device))


def head_dims(folder: Path) -> tuple[int, ...]:
    """Return the channels per head of towers and bridge, from their configurations."""
    towers = [checked_fields(folder, name) for name in TOWERS]
    bridge = checked_fields(folder, BRIDGE).integer("head_dim")
    return (*(tower.integer("dim") // tower.integer("num_heads") for tower in towers), bridge)


def _head_dims(configs: Mapping[str, Mapping[str, Any]]) -> tuple[int, ...]:
    towers = [configs[name] for name in TOWERS]
    bridge = int(configs[BRIDGE]["head_dim"])
    return (*(int(tower["dim"]) // int(tower["num_heads"]) for tower in towers), bridge)
