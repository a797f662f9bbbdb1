"""Activation checkpointing (gradient checkpointing) of blocks, and activation offload to host memory.

Without either, everything that the backward pass needs is kept from the forward; with checkpointing only the inputs of
blocks, on the device or, offloaded, on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint
from torch.utils.weak import WeakIdKeyDictionary

from mova.models.bridge import CrossModalBridge
from mova.models.tower import DiTTower


def recompute_blocks(components: Iterable[nn.Module], *, offload: bool = False) -> None:
    """Turn on activation checkpointing: blocks and layers of the bridge are computed again in the backward pass.

    Gradients are the same; a step takes about a third longer.

    Args:
        components: towers and bridge.
        offload: activation offload: inputs of blocks wait in host memory (pinned where the device is CUDA).
    """
    # One for all: the layers of the bridge in both directions and the blocks behind them read the same tokens.
    offloaded = _Offloaded()
    for component in components:
        if not isinstance(component, DiTTower | CrossModalBridge):
            continue
        component.enable_gradient_checkpointing(offloaded if offload else _recomputed)
        if offload and isinstance(component, DiTTower):
            # The form that can move its inputs gives no gradients unless one of them asks for some.
            component.patch_embedding.register_forward_hook(ask_for_gradients)


def _recomputed(function: Callable[..., Any], *inputs: Any) -> Any:
    return checkpoint(function, *inputs, use_reentrant=False)


class _Offloaded:
    """Activation checkpointing with inputs offloaded to the host, each there once however many blocks read it.

    torch's own `save_on_cpu` makes a copy for each of them and waits for it.
    """

    def __init__(self) -> None:
        # By the memory on the device, as long as it exists; then by what of it a tensor shows.
        self._copies: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def __call__(self, function: Callable[..., Any], *inputs: Any) -> Any:
        with saved_tensors_hooks(self._to_host, _to_device):
            return checkpoint(function, *inputs, use_reentrant=True)

    def _to_host(self, tensor: torch.Tensor) -> tuple[torch.device, torch.Tensor]:
        copies = self._copies.setdefault(tensor.untyped_storage(), {})
        shown = (tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset(), tensor._version)
        if shown not in copies:
            copies[shown] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            # The way back is a later operation of the same stream, so nothing has to wait here.
            copies[shown].copy_(tensor, non_blocking=tensor.is_cuda)
        return tensor.device, copies[shown]


def _to_device(kept: tuple[torch.device, torch.Tensor]) -> torch.Tensor:
    device, copy = kept
    # On a CPU the copy itself would do, but what a block is given it may change.
    return copy.to(device, non_blocking=True, copy=True)


def ask_for_gradients(_module: nn.Module, _inputs: object, tokens: torch.Tensor) -> torch.Tensor:
    """Forward hook of what makes tokens: let gradients flow back to them, though nothing before them learns."""
    return tokens.requires_grad_() if torch.is_grad_enabled() and not tokens.requires_grad else tokens
