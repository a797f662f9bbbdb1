"""Which of several models is on the device: the one in use; the frozen weights of the others rest on the host."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import torch
from torch import nn

from mova.offload.mapped_pages import MappedFiles


class OneAtATime:
    """Brings one of several modules to the device and takes the others off it.

    Only frozen weights move: what is trained stays where its optimiser is. On CUDA they rest in pinned memory.

    Args:
        modules: by name; none on the device is needed yet.
        device: where the one in use is.
        home: where the others rest.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], device: torch.device, home: torch.device | str = "cpu"
    ) -> None:
        self.modules, self.device, self.home = dict(modules), device, torch.device(home)
        self.present: str | None = None
        for module in self.modules.values():
            self._send_home(module)

    def use(self, name: str) -> None:
        """Make a module ready; nothing happens where it is already."""
        if name == self.present:
            return
        if self.present is not None:
            self._send_home(self.modules[self.present])
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

    def _send_home(self, module: nn.Module) -> None:
        pinned = self.device.type == "cuda" and self.home.type == "cpu"
        for tensor in frozen_tensors(module):
            resting = tensor.data.to(self.home)
            tensor.data = resting.pin_memory() if pinned else resting


class Sleeper:
    """Frozen weights that rest as they were loaded, in host memory or mapped files, and visit the device.

    Nothing is copied back: what rests is the original. On the device they have the dtype that is computed in.

    Args:
        tensors: parameters and buffers, at rest now.
        device: that computes.
        computing: dtype in which a tensor is computed with.
    """

    def __init__(
        self, tensors: Iterable[torch.Tensor], device: torch.device, computing: Callable[[torch.Tensor], torch.dtype]
    ) -> None:
        self._device = device
        self._resting = [(tensor, tensor.data, computing(tensor)) for tensor in tensors]
        self._mapped = MappedFiles()
        self.is_awake = False

    @property
    def device_bytes(self) -> int:
        """Bytes on the device while they are there."""
        return sum(resting.numel() * dtype.itemsize for _, resting, dtype in self._resting)

    def wake(self) -> None:
        """Bring the weights; nothing happens where they are there already."""
        if self.is_awake:
            return
        for tensor, resting, dtype in self._resting:
            tensor.data = resting.to(self._device, dtype)
            if tensor.data.data_ptr() != resting.data_ptr():
                self._mapped.forget([resting])
        self.is_awake = True

    def keep(self, wanted: Collection[int]) -> None:
        """Give tensors (by identity) memory of their own at rest, in the dtype that is computed in, to be changed."""
        self.rest()
        for index, (tensor, resting, dtype) in enumerate(self._resting):
            if id(tensor) in wanted and self._mapped.holds(resting):
                self._resting[index] = (tensor, resting.to(dtype, copy=True), dtype)
        self.rest()

    def rest(self) -> None:
        """Let go of what is on the device."""
        for tensor, resting, _ in self._resting:
            tensor.data = resting
        self.is_awake = False


def frozen_tensors(module: nn.Module) -> list[torch.Tensor]:
    """Return what does not learn in a module: frozen parameters and buffers."""
    return [parameter for parameter in module.parameters() if not parameter.requires_grad] + list(module.buffers())
