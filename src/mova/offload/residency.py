"""Which of several models is on the device: the one in use; frozen weights of the others are offloaded to the host."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import torch
from torch import nn

from mova.offload.mapped_pages import MappedFiles


class OneAtATime:
    """Onloads one of several modules to the device and offloads the others.

    Only frozen weights move: what is trained stays where its optimiser is. For CUDA they are kept in pinned memory.

    Args:
        modules: modules by name; none is needed yet.
        device: device of the module in use.
        host: device that the others are offloaded to.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], device: torch.device, host: torch.device | str = "cpu"
    ) -> None:
        self.modules, self.device, self.host = dict(modules), device, torch.device(host)
        self.present: str | None = None
        for module in self.modules.values():
            self._offload(module)

    def use(self, name: str) -> None:
        """Onload a module and offload the one before; nothing happens where it is on the device already."""
        if name == self.present:
            return
        if self.present is not None:
            self._offload(self.modules[self.present])
        for tensor in frozen_tensors(self.modules[name]):
            tensor.data = tensor.data.to(self.device, non_blocking=True)
        self.present = name

    def resident_bytes(self) -> int:
        """Return the bytes of frozen weights on the device."""
        return sum(
            tensor.numel() * tensor.element_size()
            for module in self.modules.values()
            for tensor in frozen_tensors(module)
            if tensor.device.type == self.device.type
        )

    def _offload(self, module: nn.Module) -> None:
        pinned = self.device.type == "cuda" and self.host.type == "cpu"
        for tensor in frozen_tensors(module):
            stored = tensor.data.to(self.host)
            tensor.data = stored.pin_memory() if pinned else stored


class OffloadedWeights:
    """Frozen weights whose backing store is where they were loaded, host memory or mapped files; onloaded as a whole.

    Nothing is copied back: the original stays. On the device they have the dtype that is computed in.

    Args:
        tensors: parameters and buffers, offloaded now.
        device: device that computes.
        computing: dtype in which a tensor is computed with.
    """

    def __init__(
        self, tensors: Iterable[torch.Tensor], device: torch.device, computing: Callable[[torch.Tensor], torch.dtype]
    ) -> None:
        self._device = device
        self._stored = [(tensor, tensor.data, computing(tensor)) for tensor in tensors]
        self._mapped = MappedFiles()
        self.is_onloaded = False

    @property
    def device_bytes(self) -> int:
        """Bytes on the device while the weights are onloaded."""
        return sum(stored.numel() * dtype.itemsize for _, stored, dtype in self._stored)

    def onload(self) -> None:
        """Bring the weights to the device; nothing happens where they are there already."""
        if self.is_onloaded:
            return
        for tensor, stored, dtype in self._stored:
            tensor.data = stored.to(self._device, dtype)
            if tensor.data.data_ptr() != stored.data_ptr():
                self._mapped.forget([stored])
        self.is_onloaded = True

    def make_writable(self, wanted: Collection[int]) -> None:
        """Give tensors (by identity) memory of their own on the host, in the dtype of computing, to be changed."""
        self.offload()
        for index, (tensor, stored, dtype) in enumerate(self._stored):
            if id(tensor) in wanted and self._mapped.holds(stored):
                self._stored[index] = (tensor, stored.to(dtype, copy=True), dtype)
        self.offload()

    def offload(self) -> None:
        """Let go of what is on the device."""
        for tensor, stored, _ in self._stored:
            tensor.data = stored
        self.is_onloaded = False


def frozen_tensors(module: nn.Module) -> list[torch.Tensor]:
    """Return what does not learn in a module: frozen parameters and buffers."""
    return [parameter for parameter in module.parameters() if not parameter.requires_grad] + list(module.buffers())
