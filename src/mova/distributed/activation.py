"""What is kept between forward and backward: all of it, what lies between blocks, or that in host memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from mova.models.bridge import CrossModalBridge
from mova.models.tower import DiTTower


def recompute_blocks(components: Iterable[nn.Module], *, offload: bool = False) -> None:
    """Let every block and every layer of the bridge compute its inside again in the backward pass.

    Gradients are the same; a step takes about a third longer.

    Args:
        components: towers and bridge.
        offload: keep what enters the blocks in host memory (pinned where the device is CUDA) until then.
    """
    for component in components:
        if not isinstance(component, DiTTower | CrossModalBridge):
            continue
        component.enable_gradient_checkpointing(_offloaded if offload else _recomputed)
        if offload and isinstance(component, DiTTower):
            # The form that can move its inputs gives no gradients unless one of them asks for some.
            component.patch_embedding.register_forward_hook(ask_for_gradients)


def _recomputed(function: Callable[..., Any], *inputs: Any) -> Any:
    return checkpoint(function, *inputs, use_reentrant=False)


def _offloaded(function: Callable[..., Any], *inputs: Any) -> Any:
    on_gpu = any(isinstance(one, torch.Tensor) and one.is_cuda for one in inputs)
    with save_on_cpu(pin_memory=on_gpu):
        return checkpoint(function, *inputs, use_reentrant=True)


def ask_for_gradients(_module: nn.Module, _inputs: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Forward hook of what makes tokens: let gradients flow back to them, though nothing before them learns."""
    return tokens.requires_grad_() if torch.is_grad_enabled() and not tokens.requires_grad else tokens
