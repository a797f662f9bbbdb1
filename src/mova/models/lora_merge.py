"""Adapters merged into the weights of modules, and taken out again bit for bit; or merged while weights are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from mova.errors import ConfigError
from mova.models.lora import Lora
from mova.models.packing import is_packed


class MergedLoras:
    """The adapters that act in some modules at the moment.

    A merged model runs as fast as the base and needs nothing at run time. The original of every changed weight is kept
    on the CPU: adding and subtracting the same update leaves rounding errors, putting the original back does not.

    Args:
        components: modules by the names that LoRAs use.
    """

    def __init__(self, components: Mapping[str, nn.Module]) -> None:
        self.components = components
        self._originals: dict[tuple[str, str], torch.Tensor] = {}

    @property
    def num_changed(self) -> int:
        """Number of weights that differ from the base."""
        return len(self._originals)

    @torch.no_grad()
    def apply(self, loras: Sequence[tuple[Lora, float]]) -> None:
        """Let exactly these LoRAs act, each at its scale; an empty list restores the base.

        Every weight is computed anew from its original, in float32, and rounded once to its own dtype.

        Args:
            loras: fitted to the components (`fit_lora`), with scales.

        Raises:
            ConfigError: weights that cannot be changed in place (quantised or not loaded); nothing has changed then.
                Any other error leaves the base.
        """
        wanted: dict[tuple[str, str], list[tuple[Lora, float]]] = {}
        for lora, scale in loras:
            for component, layers in lora.layers.items():
                for path in layers:
                    wanted.setdefault((component, path), []).append((lora, scale))
        for place in wanted:
            _check_weight(self._weight(place), place)
        try:
            for place in [place for place in self._originals if place not in wanted]:
                self._restore(place)
            for place, parts in wanted.items():
                self._merge(place, parts)
        except BaseException:
            for place in list(self._originals):
                self._restore(place)
            raise

    def _merge(self, place: tuple[str, str], parts: Sequence[tuple[Lora, float]]) -> None:
        weight = self._weight(place)
        if place not in self._originals:
            # A copy also where the weight is on the CPU already: it is written to below.
            self._originals[place] = weight.detach().to("cpu", copy=True)
        merged = self._originals[place].to(weight.device, torch.float32, copy=True)
        component, path = place
        for lora, scale in parts:
            merged += scale * lora.layers[component][path].update(weight.device)
        weight.copy_(merged)

    def _restore(self, place: tuple[str, str]) -> None:
        self._weight(place).copy_(self._originals.pop(place))

    def _weight(self, place: tuple[str, str]) -> torch.Tensor:
        component, path = place
        return self.components[component].get_parameter(f"{path}.weight")


class MergeWhileReading:
    """Puts adapters into the weights of one component as they are read, for those that cannot be changed later.

    Args:
        loras: fitted to the components (`fit_lora`), with scales.
        component: which one it is, as LoRAs name it.
        dtype: of the weights. They are rounded to it first, as `MergedLoras` finds them; None leaves them as stored.
    """

    def __init__(self, loras: Sequence[tuple[Lora, float]], component: str, dtype: torch.dtype | None = None) -> None:
        self.loras, self.component, self.dtype = loras, component, dtype

    def __call__(self, key: str, tensor: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Return a tensor with its adapters.

        Args:
            key: of the tensor in the component's state dict.
            tensor: as stored: all of it, or some of its rows.
            rows: which rows those are.

        Returns:
            The tensor itself where no adapter is for it, otherwise the sum in float32.
        """
        path = key.removesuffix(".weight")
        found = [(lora.layers.get(self.component, {}).get(path), scale) for lora, scale in self.loras]
        layers = [(layer, scale) for layer, scale in found if layer is not None and path != key]
        if not layers:
            return tensor
        merged = tensor.to(self.dtype or tensor.dtype).float()
        merged = merged.clone() if merged.data_ptr() == tensor.data_ptr() else merged
        for layer, scale in layers:
            merged += scale * layer.update(merged.device, rows)
        return merged


def _check_weight(weight: torch.Tensor, place: tuple[str, str]) -> None:
    is_plain = type(weight.detach()) is torch.Tensor and weight.is_floating_point() and not is_packed(weight)
    if weight.device.type == "meta" or not is_plain:
        raise ConfigError(
            f"adapters are merged into plain floating-point weights, got {type(weight.detach()).__name__} of "
            f"{weight.dtype} on {weight.device} at {'.'.join(place)}; load them before quantising or offloading"
        )
