"""Which of several models is on the device: the one in use; frozen weights of the others are offloaded to the host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from mova.kernels.streams import Streams
from mova.offload.ahead import FetchAhead
from mova.offload.mapped_pages import MappedFile, MappedFiles, give_back

logger = logging.getLogger(__name__)


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


@dataclass(eq=False)
class _Stored:
    """A tensor, where it is stored, in which file that lies, and the dtype in which it is computed with."""

    tensor: torch.Tensor
    stored: torch.Tensor
    file: MappedFile | None
    dtype: torch.dtype


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
        mapped = MappedFiles()
        self._stored = [_Stored(tensor, tensor.data, mapped.find(tensor), computing(tensor)) for tensor in tensors]
        self._ahead: tuple[FetchAhead, list[torch.Tensor]] | None = None
        self.is_onloaded = False

    @property
    def device_bytes(self) -> int:
        """Bytes on the device while the weights are onloaded."""
        return sum(one.stored.numel() * one.dtype.itemsize for one in self._stored)

    @property
    def is_fetched_ahead(self) -> bool:
        """Whether the weights are on their way to the device, or there already, without being onloaded."""
        return self._ahead is not None

    def fetch_ahead(self, streams: Streams | None) -> None:
        """Begin to bring the weights to the device, beside what computes there, for the `onload` that follows.

        Args:
            streams: of the device; None for a CPU.
        """
        if self.is_onloaded or self._ahead:
            return
        try:
            targets = [
                torch.empty_like(one.stored, dtype=one.dtype, device=self._device) if self._moves(one) else one.stored
                for one in self._stored
            ]
        except torch.OutOfMemoryError:
            logger.info("weights are not fetched ahead: the device has no room for them yet")
            return
        pairs = zip(targets, self._stored, strict=True)
        parts = [(target, one.stored, one.file) for target, one in pairs if target is not one.stored]
        self._ahead = FetchAhead(parts, streams), targets

    def onload(self) -> None:
        """Bring the weights to the device; nothing happens where they are there already.

        Raises:
            CheckpointError: weights that were fetched ahead from a file that cannot be read any more.
        """
        if self.is_onloaded:
            return
        if self._ahead:
            fetching, targets = self._ahead
            fetching.finish()
            self._ahead = None
            for one, target in zip(self._stored, targets, strict=True):
                one.tensor.data = target
        else:
            for one in self._stored:
                one.tensor.data = one.stored.to(self._device, one.dtype)
                if one.file and self._moves(one):
                    give_back(one.stored)
        self.is_onloaded = True

    def make_writable(self, wanted: Collection[int]) -> None:
        """Give tensors (by identity) memory of their own on the host, in the dtype of computing, to be changed."""
        self.offload()
        for one in self._stored:
            if id(one.tensor) in wanted and one.file:
                one.stored, one.file = one.stored.to(one.dtype, copy=True), None
        self.offload()

    def offload(self) -> None:
        """Let go of what is on the device, or on its way there."""
        if self._ahead:
            self._ahead[0].abandon()
            self._ahead = None
        for one in self._stored:
            one.tensor.data = one.stored
        self.is_onloaded = False

    def _moves(self, one: _Stored) -> bool:
        return one.stored.device != self._device or one.stored.dtype != one.dtype


def frozen_tensors(module: nn.Module) -> list[torch.Tensor]:
    """Return what does not learn in a module: frozen parameters and buffers."""
    return [parameter for parameter in module.parameters() if not parameter.requires_grad] + list(module.buffers())
