"""Which kernels compute a loaded model: the choices of `Runtime` that concern attention and compilation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from mova.distributed.mesh import Parallel
from mova.generate.compilation import check_compiler, compile_blocks
from mova.generate.locate import read_config_file
from mova.generate.runtime import Runtime
from mova.models.attention_backends import check_backend, use_backend


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


def use_kernels(runtime: Runtime, components: Iterable[nn.Module]) -> None:
    """Let towers and bridge compute with the chosen kernels, which were checked."""
    components = list(components)
    if runtime.attention is not None:
        use_backend(runtime.attention, components)
    if runtime.compile_blocks:
        compile_blocks(components)


def head_dims(folder: Path) -> tuple[int, ...]:
    """Return the channels per head of towers and bridge, from their configurations."""
    towers = [read_config_file(folder / name / "config.json") for name in ("video_dit", "audio_dit")]
    bridge = read_config_file(folder / "dual_tower_bridge" / "config.json")
    return (*(int(tower["dim"]) // int(tower["num_heads"]) for tower in towers), int(bridge["head_dim"]))
