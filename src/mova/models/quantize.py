"""Frozen weights in 8 or 4 bits: packed layer by layer while a component is loaded, computed with in floating point.

Only the large linear layers of blocks and of the bridge's attentions are packed; norms, modulation, embeddings and
heads stay as they are. The one place that knows bitsandbytes; why that library: docs/decisions/0002-packed-weights.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import torch
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError, MissingExtraError
from mova.models.bridge import CrossModalBridge
from mova.models.lora import BRIDGE_TARGETS, TOWER_TARGETS, select_layers
from mova.models.tower import DiTTower

Method = Literal["int8", "nf4"]
METHODS: Final[tuple[Method, ...]] = ("int8", "nf4")
# Weights of nf4 that share a scale.
_GROUP = 64


class QuantizedLinear(nn.Linear):
    """A linear layer that keeps its weight packed and unpacks it for each use, also in the backward pass.

    It is frozen: gradients reach its input (and a bias that wants one), never its weight. It computes in the dtype that
    a plain layer would: that of its input, or of autocast. A new one is on the meta device.

    Args:
        in_features, out_features: as of the layer it stands for.
        bias: whether it has one.
        method: int8 with a scale per output, or nf4 with a scale per 64 weights.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool, method: Method) -> None:
        super().__init__(in_features, out_features, bias, device="meta")
        self.method = method
        if method == "int8":
            packed = torch.empty(out_features, in_features, dtype=torch.int8, device="meta")
            num_scales = out_features
        else:
            num_scales = math.ceil(in_features * out_features / _GROUP)
            packed = torch.empty(num_scales * _GROUP // 2, 1, dtype=torch.uint8, device="meta")
        # A parameter, so that whoever looks for the layer's weight finds one, and sees that it is not a floating one.
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.register_buffer("scales", torch.empty(num_scales, dtype=torch.float32, device="meta"))

    @classmethod
    def from_linear(cls, layer: nn.Linear, method: Method) -> QuantizedLinear:
        """Return the packed form of a layer on its device; the bias is shared with it.

        Raises:
            MissingExtraError: bitsandbytes is not installed.
        """
        quantized = cls(layer.in_features, layer.out_features, layer.bias is not None, method)
        packed, scales = quantize_weight(layer.weight.detach(), method)
        quantized.weight = nn.Parameter(packed, requires_grad=False)
        quantized.scales, quantized.bias = scales, layer.bias
        return quantized

    def dense(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Return the weight that it computes with, (out, in)."""
        return dequantize_weight(
            self.weight, self.get_buffer("scales"), self.method, (self.out_features, self.in_features), dtype
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in) to (..., out)."""
        shape = (self.out_features, self.in_features)
        output: torch.Tensor = _PackedLinear.apply(
            x, self.bias, self.weight, self.get_buffer("scales"), self.method, shape
        )
        return output

    def extra_repr(self) -> str:
        """Say how the weight is kept."""
        return f"{super().extra_repr()}, method={self.method}"


class _PackedLinear(torch.autograd.Function):
    """Keeps the packed weight for the backward pass, where a plain layer would keep the unpacked one."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        bias: torch.Tensor | None,
        packed: torch.Tensor,
        scales: torch.Tensor,
        method: Method,
        shape: tuple[int, int],
    ) -> torch.Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        ctx.save_for_backward(packed, scales)
        ctx.method, ctx.shape, ctx.dtype, ctx.input_dtype = method, shape, dtype, x.dtype
        ctx.bias_dtype = None if bias is None else bias.dtype
        weight = dequantize_weight(packed, scales, method, shape, dtype)
        return functional.linear(x.to(dtype), weight, None if bias is None else bias.to(dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        to_input = to_bias = None
        if ctx.needs_input_grad[0]:
            packed, scales = ctx.saved_tensors
            weight = dequantize_weight(packed, scales, ctx.method, ctx.shape, ctx.dtype)
            to_input = (gradient.to(ctx.dtype) @ weight).to(ctx.input_dtype)
        if ctx.needs_input_grad[1]:
            to_bias = gradient.flatten(0, -2).sum(0).to(ctx.bias_dtype)
        return to_input, to_bias, None, None, None, None


def quantize_weight(weight: torch.Tensor, method: Method) -> tuple[torch.Tensor, torch.Tensor]:
    """Pack a weight on its device.

    Args:
        weight: (out, in), floating.
        method: int8 or nf4.

    Returns:
        The packed weight, (out, in) int8 or two values per byte in a column of uint8, and its float32 scales: one per
        output, or one per 64 weights.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
        ConfigError: another method.
    """
    library = _library()
    if method == "int8":
        # Its CUDA kernel takes half precision only; the CPU is given the same so that both find the same numbers.
        packed, scales, _ = library.int8_vectorwise_quant(weight.to(torch.float16))
        return packed, scales
    if method == "nf4":
        # A row per scale: with the weight's own rows the CPU kernel of bitsandbytes 0.50 unpacks with wrong scales
        # wherever a row is not a multiple of 64 long.
        groups = functional.pad(weight.flatten(), (0, -weight.numel() % _GROUP)).view(-1, _GROUP)
        packed, state = library.quantize_4bit(groups, blocksize=_GROUP, quant_type="nf4")
        return packed, state.absmax
    raise ConfigError(f"quantisation must be {' or '.join(METHODS)}, got {method!r}")


def dequantize_weight(
    packed: torch.Tensor, scales: torch.Tensor, method: Method, shape: tuple[int, int], dtype: torch.dtype
) -> torch.Tensor:
    """Return what `quantize_weight` packed, (out, in) in a floating dtype."""
    library = _library()
    if method == "int8":
        dense: torch.Tensor = library.int8_vectorwise_dequant(packed, scales).to(dtype)
        return dense
    groups = torch.Size((len(scales), _GROUP))
    state = library.QuantState(absmax=scales, shape=groups, dtype=dtype, blocksize=_GROUP, quant_type="nf4")
    four_bit: torch.Tensor = library.dequantize_4bit(packed, state)
    # What fills up the last group is cut off.
    return four_bit.flatten()[: shape[0] * shape[1]].view(shape)


def relative_error(weight: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor, method: Method) -> float:
    """Return how far a packed weight is from the original: the norm of the difference over the norm; 0 for zeros."""
    original = weight.float()
    found = dequantize_weight(packed, scales, method, (weight.shape[0], weight.shape[1]), torch.float32)
    return float((found - original).norm() / original.norm().clamp_min(torch.finfo(torch.float32).tiny))


def quantizable_layers(component: nn.Module) -> list[str]:
    """Return the paths of the linear layers that are packed: those of blocks, and of the bridge's attentions.

    Raises:
        ConfigError: a component that is neither a tower nor the bridge.
    """
    if not isinstance(component, DiTTower | CrossModalBridge):
        raise ConfigError(f"only towers and the bridge can be quantised, got {type(component).__name__}")
    linears = [path for path, module in component.named_modules() if isinstance(module, nn.Linear)]
    return select_layers(linears, TOWER_TARGETS if isinstance(component, DiTTower) else BRIDGE_TARGETS)


class Quantizer:
    """Packs the layers of a component while its tensors arrive, so that it never exists unpacked as a whole.

    Args:
        method: int8 or nf4.
        device: that packs; the result goes back to where the tensor was. By default where the tensor is.

    Attributes:
        errors: relative error of each packed weight, by key.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
    """

    def __init__(self, method: Method, device: torch.device | None = None) -> None:
        _library()
        self.method, self.device = method, device
        self.errors: dict[str, float] = {}
        self._paths: set[str] = set()

    def prepare(self, component: nn.Module) -> nn.Module:
        """Give a component on the meta device layers that can take packed weights; return it."""
        self._paths |= set(pack_layers(component, self.method))
        return component

    def pack(self, key: str, tensor: torch.Tensor) -> dict[str, torch.Tensor] | None:
        """Return what is stored instead of a tensor of the state dict, by key; None where it stays as it is."""
        path, _, name = key.rpartition(".")
        if name != "weight" or path not in self._paths:
            return None
        weight = tensor.to(self.device) if self.device else tensor
        packed, scales = quantize_weight(weight, self.method)
        self.errors[key] = relative_error(weight, packed, scales, self.method)
        return {key: packed.to(tensor.device), f"{path}.scales": scales.to(tensor.device)}


def pack_layers(component: nn.Module, method: Method) -> dict[str, QuantizedLinear]:
    """Put layers for packed weights, on the meta device, in the place of a component's; return them by path.

    Raises:
        ConfigError: a component that is neither a tower nor the bridge.
    """
    layers = {}
    for path in quantizable_layers(component):
        layer = component.get_submodule(path)
        assert isinstance(layer, nn.Linear)
        layers[path] = QuantizedLinear(layer.in_features, layer.out_features, layer.bias is not None, method)
        _replace(component, path, layers[path])
    return layers


def quantize_component(component: nn.Module, method: Method) -> dict[str, float]:
    """Pack the layers of a component that is loaded already, one after the other, in place.

    Returns:
        The relative error of each packed weight, by key.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
        ConfigError: a component that is neither a tower nor the bridge.
    """
    errors = {}
    for path in quantizable_layers(component):
        layer = component.get_submodule(path)
        assert isinstance(layer, nn.Linear)
        quantized = QuantizedLinear.from_linear(layer, method)
        errors[f"{path}.weight"] = relative_error(
            layer.weight.detach(), quantized.weight, quantized.get_buffer("scales"), method
        )
        _replace(component, path, quantized)
    return errors


def summarise_errors(errors: Mapping[str, float]) -> str:
    """Return one line for the log: how many weights, their mean relative error, and the worst of them."""
    if not errors:
        return "no weights quantised"
    worst = max(errors, key=lambda key: errors[key])
    mean = sum(errors.values()) / len(errors)
    return f"{len(errors)} weights, relative error {mean:.4f} on average, {errors[worst]:.4f} at most ({worst})"


def _replace(component: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(component.get_submodule(parent), name, layer)


def _library() -> Any:
    try:
        import bitsandbytes.functional as library
    except ModuleNotFoundError as error:
        raise MissingExtraError("bitsandbytes", "quantize") from error
    return library
