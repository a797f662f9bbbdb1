"""Adapters merged into the weights of modules, and taken out again bit for bit; or merged while weights are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import nn

from mova.errors import ConfigError
from mova.weights.lora.adapters import Lora, LoraLayer
from mova.weights.quantize.codes import is_quantized

_ALL_ROWS = slice(None)


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

        Every weight is computed anew from its original, in float32, and rounded once to its own dtype. Adapters of
        one weight add up, whatever their order: also what DoRA does to it is the difference to the original, times its
        scale.

        Args:
            loras: fitted to the components (`fit_lora`), with scales.

        Raises:
            ConfigError: weights that cannot be changed in place (quantised or not loaded); nothing has changed then.
                Any other error leaves the base.
        """
        wanted: dict[tuple[str, str], list[tuple[Lora, float]]] = {}
        for lora, scale in loras:
            for component in lora.components:
                for key in lora.changes(component):
                    wanted.setdefault((component, key), []).append((lora, scale))
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

    def cast(self) -> None:
        """Let the originals have the dtype of the weights, which have been cast."""
        for place, original in self._originals.items():
            self._originals[place] = original.to(self._weight(place).dtype)

    def _merge(self, place: tuple[str, str], parts: Sequence[tuple[Lora, float]]) -> None:
        weight = self._weight(place)
        if place not in self._originals:
            # A copy also where the weight is on the CPU already: it is written to below.
            self._originals[place] = weight.detach().to("cpu", copy=True)
        original = self._originals[place].to(weight.device, torch.float32)
        weight.copy_(_merged(original, parts, *place))

    def _restore(self, place: tuple[str, str]) -> None:
        self._weight(place).copy_(self._originals.pop(place))

    def _weight(self, place: tuple[str, str]) -> torch.Tensor:
        component, key = place
        return self.components[component].get_parameter(key)


class MergeWhileReading:
    """Puts adapters into the weights of one component as they are read, for those that cannot be changed later.

    Args:
        loras: fitted to the components (`fit_lora`), with scales.
        component: which one it is, as LoRAs name it.
        dtype: dtype of the weights. They are rounded to it first, as `MergedLoras` finds them; None leaves them as
            stored.
        kept: parts of names whose tensors are float32 whatever the dtype.
    """

    def __init__(
        self,
        loras: Sequence[tuple[Lora, float]],
        component: str,
        dtype: torch.dtype | None = None,
        kept: Collection[str] = (),
    ) -> None:
        self.component, self.dtype, self.kept = component, dtype, frozenset(kept)
        self._loras: dict[str, list[tuple[Lora, float]]] = {}
        for lora, scale in loras:
            for key in lora.changes(component):
                self._loras.setdefault(key, []).append((lora, scale))

    def __call__(
        self,
        key: str,
        tensor: torch.Tensor,
        rows: slice = _ALL_ROWS,
        read_whole: Callable[[], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return a tensor with its adapters.

        Args:
            key: key of the tensor in the component's state dict.
            tensor: as stored: all of it, or some of its rows.
            rows: which rows those are.
            read_whole: returns all rows as stored; needed for some rows of a weight whose columns DoRA has scaled.

        Returns:
            The tensor itself where no adapter is for it, otherwise the sum in float32.
        """
        parts = self._loras.get(key)
        if not parts:
            return tensor
        whole = None if read_whole is None else lambda: self._rounded(key, read_whole())
        return _merged(self._rounded(key, tensor), parts, self.component, key, rows, whole)

    def _rounded(self, key: str, tensor: torch.Tensor) -> torch.Tensor:
        dtype = torch.float32 if self.kept & set(key.split(".")) else self.dtype
        return tensor.to(dtype or tensor.dtype).float()


def _merged(
    original: torch.Tensor,
    parts: Sequence[tuple[Lora, float]],
    component: str,
    key: str,
    rows: slice = _ALL_ROWS,
    read_whole: Callable[[], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return a tensor, or some of its rows, with what adapters add to it: float32, in memory of its own."""
    merged = original.clone()
    for lora, scale in parts:
        layer = lora.layers.get(component, {}).get(key.removesuffix(".weight")) if key.endswith(".weight") else None
        if layer is not None:
            merged += scale * _change(layer, original, rows, read_whole)
        difference = lora.differences.get(component, {}).get(key)
        if difference is not None:
            merged += scale * difference[rows].to(original.device).float()
    return merged


def _change(
    layer: LoraLayer, original: torch.Tensor, rows: slice, read_whole: Callable[[], torch.Tensor] | None
) -> torch.Tensor:
    """Return what an adapter adds to a weight, or to some of its rows, at scale 1.

    DoRA (arXiv 2402.09353) gives every row of the changed weight another length. LyCORIS does so with columns unless
    told otherwise; then the lengths depend on all rows.
    """
    update = layer.update(original.device, rows).reshape(original.shape)
    if layer.magnitude is None:
        return update
    changed = original + update
    magnitude = layer.magnitude.to(original.device).float()
    if layer.has_row_magnitude:
        magnitude, lengths = magnitude[rows], changed.flatten(1).norm(dim=1)
    else:
        whole = changed
        if rows != _ALL_ROWS and read_whole is not None:
            base = read_whole().to(original.device)
            whole = base + layer.update(original.device).reshape(base.shape)
        lengths = whole.transpose(0, 1).flatten(1).norm(dim=1)
    # A row of nothing has no direction that could get a length.
    return torch.where(lengths > 0, magnitude.flatten() / lengths, 1.0).reshape(magnitude.shape) * changed - original


def _check_weight(weight: torch.Tensor, place: tuple[str, str]) -> None:
    is_plain = type(weight.detach()) is torch.Tensor and weight.is_floating_point() and not is_quantized(weight)
    if weight.device.type == "meta" or not is_plain:
        name = ".".join(place).removesuffix(".weight")
        raise ConfigError(
            f"adapters are merged into plain floating-point weights, got {type(weight.detach()).__name__} of "
            f"{weight.dtype} on {weight.device} at {name}; load them before quantising or offloading"
        )
