"""Activation checkpointing (gradient checkpointing) of blocks, and activation offload to host memory.

Without either, everything that the backward pass needs is kept from the forward; with checkpointing only the inputs of
blocks, on the device or, offloaded, on the host.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint
from torch.utils.weak import WeakIdKeyDictionary

from mova.kernels.streams import Streams, streams_of
from mova.models.bridge import CrossModalBridge
from mova.models.tower import DiTTower
from mova.offload.pinned import HostBuffers, HostCopy

_LEAVING: Final = 2
"""Checkpointed calls whose inputs may still be on their way to the host while later ones compute."""


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

    torch's own `save_on_cpu` makes a copy for each of them and waits for it. Here a GPU copies on a stream of its own:
    what a block was given goes to the host while later blocks compute, and comes back while the block behind it, whose
    backward pass is first, is computed again. Memory on the device is taken and freed on the computing stream, in whose
    order it is used again; what waits for a copy is kept until that stream has waited for it.
    """

    def __init__(self) -> None:
        self._ways: dict[torch.device, _Way] = {}
        # By the memory on the device, as long as it exists; then by what of it a tensor shows.
        self._copies: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def __call__(self, function: Callable[..., Any], *inputs: Any) -> Any:
        for way in self._ways.values():
            way.begin_call()
        with saved_tensors_hooks(self._to_host, _to_device):
            output = checkpoint(function, *inputs, use_reentrant=True)
        for way in self._ways.values():
            way.end_call()
        return output

    def _to_host(self, tensor: torch.Tensor) -> _Kept:
        device = tensor.device
        if device not in self._ways:
            self._ways[device] = _Way(HostBuffers(device), streams_of(device))
        way = self._ways[device]
        copies = self._copies.setdefault(tensor.untyped_storage(), {})
        shown = (tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset(), tensor._version)
        if shown not in copies:
            copies[shown] = way.send(tensor.detach())
        return way.keep(copies[shown], device)


@dataclass(eq=False)
class _Call:
    """What one checkpointed call was given, on the host."""

    number: int
    copies: list[HostCopy] = field(default_factory=list)


@dataclass(eq=False)
class _Kept:
    """A tensor of the graph that is on the host."""

    call: _Call
    index: int
    way: _Way
    device: torch.device


@dataclass(eq=False)
class _Returned:
    """What comes back to the device for one call; each tensor is handed out once."""

    tensors: list[torch.Tensor | None]
    arrived: Any


@dataclass(eq=False)
class _Way:
    """The way between a device and the host.

    Attributes:
        buffers: host memory.
        streams: of the device; None copies at once.
        calls: those whose graph still exists, by number.
    """

    buffers: HostBuffers
    streams: Streams | None
    calls: weakref.WeakValueDictionary[int, _Call] = field(default_factory=weakref.WeakValueDictionary)
    _call: _Call = field(default_factory=lambda: _Call(0))
    _sent: list[torch.Tensor] = field(default_factory=list)
    _leaving: deque[tuple[list[torch.Tensor], Any]] = field(default_factory=deque)
    _returned: dict[int, _Returned] = field(default_factory=dict)

    def begin_call(self) -> None:
        """Begin another checkpointed call; what a backward pass that broke off had fetched goes."""
        self._drop_returned()

    def send(self, tensor: torch.Tensor) -> HostCopy:
        """Begin to copy a tensor to the host."""
        if self.streams is None:
            return HostCopy(torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor))
        copy = self.buffers.take(tensor.shape, tensor.dtype)
        side = self.streams.side
        side.wait_event(self.streams.current().record_event())
        with self.streams.use(side):
            copy.tensor.copy_(tensor, non_blocking=True)
        self._sent.append(tensor)
        return copy

    def keep(self, copy: HostCopy, device: torch.device) -> _Kept:
        """Count a copy to what the call was given."""
        self._call.copies.append(copy)
        self.calls[self._call.number] = self._call
        return _Kept(self._call, len(self._call.copies) - 1, self, device)

    def end_call(self) -> None:
        """Note what a call sent, and let go of what earlier calls sent."""
        self._call = _Call(self._call.number + 1)
        if self.streams and self._sent:
            self._leaving.append((self._sent, self.streams.side.record_event()))
            self._sent = []
        self._let_go(_LEAVING)

    def bring(self, kept: _Kept) -> torch.Tensor:
        """Return a tensor on the device, and begin to fetch what the call before it was given."""
        if self.streams is None:
            # On a CPU the copy itself would do, but what a block is given it may change.
            return kept.call.copies[kept.index].tensor.to(kept.device, copy=True)
        self._let_go(0)
        number = kept.call.number
        returned = self._returned.get(number)
        if returned is None or returned.tensors[kept.index] is None:
            returned = self._fetch(kept.call, kept.device)
        self.streams.current().wait_event(returned.arrived)
        tensor, returned.tensors[kept.index] = returned.tensors[kept.index], None
        assert tensor is not None, "what was fetched is handed out once"
        earlier = max((one for one in self.calls if one < number), default=None)
        self._drop_returned(but=(number, earlier))
        if earlier is not None and earlier not in self._returned:
            self._fetch(self.calls[earlier], kept.device)
        if not any(one is not None for one in returned.tensors):
            del self._returned[number]
        return tensor

    def _drop_returned(self, but: tuple[int | None, ...] = ()) -> None:
        for number in [number for number in self._returned if number not in but]:
            assert self.streams, "only queues fetch ahead"
            self.streams.current().wait_event(self._returned.pop(number).arrived)

    def _fetch(self, call: _Call, device: torch.device) -> _Returned:
        assert self.streams, "only queues fetch ahead"
        tensors = [torch.empty_like(copy.tensor, device=device) for copy in call.copies]
        side = self.streams.side
        # What was in this memory before may still be read.
        side.wait_event(self.streams.current().record_event())
        with self.streams.use(side):
            for tensor, copy in zip(tensors, call.copies, strict=True):
                tensor.copy_(copy.tensor, non_blocking=True)
        self._returned[call.number] = _Returned([*tensors], side.record_event())
        return self._returned[call.number]

    def _let_go(self, most: int) -> None:
        """Let the computing stream wait for the oldest copies to the host, so that few tensors wait for theirs."""
        while len(self._leaving) > most:
            assert self.streams, "only queues have copies under way"
            self.streams.current().wait_event(self._leaving[0][1])
            self._leaving.popleft()


def _to_device(kept: _Kept) -> torch.Tensor:
    return kept.way.bring(kept)


def ask_for_gradients(_module: nn.Module, _inputs: object, tokens: torch.Tensor) -> torch.Tensor:
    """Forward hook of what makes tokens: let gradients flow back to them, though nothing before them learns."""
    return tokens.requires_grad_() if torch.is_grad_enabled() and not tokens.requires_grad else tokens
