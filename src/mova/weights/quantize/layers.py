"""Frozen weights in 8 or 4 bits: quantised layer by layer while a component is loaded, or read as they were stored.

Only the large linear layers of blocks and of the bridge's attentions are quantised; norms, modulation, embeddings and
heads stay as they are. They compute in floating point, but for float8_linear. Why each method is there:
docs/decisions/0002-quantised-weights.md.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

import torch
from torch import nn
from torch.nn import functional

from mova.errors import CheckpointError, ConfigError
from mova.models.attention import Attention
from mova.models.bridge import CrossModalBridge
from mova.models.tower import DiTTower
from mova.weights.lora.adapters import BRIDGE_TARGETS, TOWER_TARGETS, select_layers
from mova.weights.quantize.codes import (
    CODE_DTYPES,
    dequantize_weight,
    multiply_float8,
    multiply_rounded,
    quantize_weight,
    relative_error,
    require_method,
    round_to_float8,
)
from mova.weights.quantize.layout import FROZEN_METHODS, Method, check_method, quantized_layout, storage_method

# Queries, keys and values.
_NUM_PROJECTIONS: Final = 3


class QuantizedLinear(nn.Linear):
    """A linear layer that keeps its weight quantised and dequantises it for each use, also in the backward pass.

    It is frozen: gradients reach its input (and a bias that wants one), never its weight. It computes in the dtype that
    a plain layer would: that of its input, or of autocast. With float8_linear it multiplies in float8 instead, and no
    gradient passes. Casting a module leaves quantised weights and scales as they are. A new one is on the meta device.

    Args:
        in_features, out_features: as of the layer it stands for.
        bias: whether it has one.
        method: how its weight is quantised; see `mova.weights.quantize.layout`.

    Raises:
        ConfigError: another method.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool, method: Method) -> None:
        super().__init__(in_features, out_features, bias, device="meta")
        self.method = check_method(method)
        layout = quantized_layout(out_features, in_features, method)
        codes = torch.empty(layout.weight_shape, dtype=CODE_DTYPES[layout.weight_dtype], device="meta")
        # A parameter, so that whoever looks for the layer's weight finds one, and sees that it is not a usual one.
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.register_buffer("scales", torch.empty(layout.num_scales, dtype=torch.float32, device="meta"))

    def dense(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Return the weight that it computes with, (out, in)."""
        return dequantize_weight(
            self.weight, self.get_buffer("scales"), self.method, (self.out_features, self.in_features), dtype
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in) to (..., out).

        Raises:
            ConfigError: a gradient is wanted through float8_linear.
        """
        if self.method == "float8_linear":
            _refuse_gradients(x)
            return multiply_float8(x, self.weight, self.get_buffer("scales"), self.bias, _working_dtype(x))
        shape = (self.out_features, self.in_features)
        output: torch.Tensor = _DequantizedLinear.apply(
            x, self.bias, self.weight, self.get_buffer("scales"), self.method, shape
        )
        return output

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> QuantizedLinear:
        def keep_dtype(tensor: torch.Tensor) -> torch.Tensor:
            changed = fn(tensor)
            # A module that is cast to bfloat16 takes its floating tensors along, to which float8 and scales belong.
            return changed if tensor is self.bias or changed.dtype == tensor.dtype else tensor.to(changed.device)

        super()._apply(keep_dtype, recurse)
        return self

    def extra_repr(self) -> str:
        """Say how the weight is kept."""
        return f"{super().extra_repr()}, method={self.method}"


class _DequantizedLinear(torch.autograd.Function):
    """Keeps the quantised weight for the backward pass, where a plain layer would keep the dequantised one."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        bias: torch.Tensor | None,
        codes: torch.Tensor,
        scales: torch.Tensor,
        method: Method,
        shape: tuple[int, int],
    ) -> torch.Tensor:
        dtype = _working_dtype(x)
        ctx.save_for_backward(codes, scales)
        ctx.method, ctx.shape, ctx.dtype, ctx.input_dtype = method, shape, dtype, x.dtype
        ctx.bias_dtype = None if bias is None else bias.dtype
        weight = dequantize_weight(codes, scales, method, shape, dtype)
        return functional.linear(x.to(dtype), weight, None if bias is None else bias.to(dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        to_input = to_bias = None
        if ctx.needs_input_grad[0]:
            codes, scales = ctx.saved_tensors
            weight = dequantize_weight(codes, scales, ctx.method, ctx.shape, ctx.dtype)
            to_input = (gradient.to(ctx.dtype) @ weight).to(ctx.input_dtype)
        if ctx.needs_input_grad[1]:
            to_bias = gradient.flatten(0, -2).sum(0).to(ctx.bias_dtype)
        return to_input, to_bias, None, None, None, None


def quantizable_layers(component: nn.Module) -> list[str]:
    """Return the paths of the linear layers that are quantised: those of blocks, and of the bridge's attentions.

    Raises:
        ConfigError: a component that is neither a tower nor the bridge.
    """
    if not isinstance(component, DiTTower | CrossModalBridge):
        raise ConfigError(f"only towers and the bridge can be quantised, got {type(component).__name__}")
    linears = [path for path, module in component.named_modules() if isinstance(module, nn.Linear)]
    return select_layers(linears, TOWER_TARGETS if isinstance(component, DiTTower) else BRIDGE_TARGETS)


class Quantizer:
    """Quantises the layers of a component while its tensors arrive, so that it never exists whole in full precision.

    Args:
        method: how weights are quantised.
        device: device that quantises; the result goes back to where the tensor was. By default where the tensor is.

    Attributes:
        errors: relative error of each weight that was quantised, by key.

    Raises:
        MissingExtraError: the method needs bitsandbytes, which is not installed.
        ConfigError: another method.
    """

    def __init__(self, method: Method, device: torch.device | None = None) -> None:
        require_method(method)
        self.method, self.device = method, device
        self.errors: dict[str, float] = {}
        self._paths: set[str] = set()

    def prepare(self, component: nn.Module) -> nn.Module:
        """Give a component on the meta device layers that can take quantised weights; return it.

        One that is stored quantised has such layers already. They are told to compute by this method.

        Raises:
            CheckpointError: it is stored quantised by another method.
        """
        stored = quantized_method(component)
        if stored is None:
            self._paths |= set(install_quantized_layers(component, self.method))
            return component
        if stored != storage_method(self.method):
            raise CheckpointError(
                f"weights that are stored in {stored} cannot be loaded in {self.method}; nearest is {stored}, or a "
                "model directory with plain weights"
            )
        for layer in quantized_layers(component).values():
            layer.method = self.method
        _round_inputs_once(component)
        return component

    def quantize(self, key: str, tensor: torch.Tensor) -> dict[str, torch.Tensor] | None:
        """Return what is stored instead of a tensor of the state dict, by key; None where it stays as it is."""
        path, _, name = key.rpartition(".")
        if name != "weight" or path not in self._paths:
            return None
        weight = tensor.to(self.device) if self.device else tensor
        codes, scales = quantize_weight(weight, self.method)
        self.errors[key] = relative_error(weight, codes, scales, self.method)
        return {key: codes.to(tensor.device), f"{path}.scales": scales.to(tensor.device)}


def quantized_layers(component: nn.Module) -> dict[str, QuantizedLinear]:
    """Return the layers of a component whose weights are quantised, by path."""
    return {path: module for path, module in component.named_modules() if isinstance(module, QuantizedLinear)}


def quantized_method(component: nn.Module) -> Method | None:
    """Return how the weights of a component are quantised; None where none are."""
    return next((layer.method for layer in quantized_layers(component).values()), None)


def quantized_tensors(component: nn.Module) -> dict[str, torch.Tensor]:
    """Return quantised weights and their scales by key of the state dict: what no cast to another dtype may touch."""
    return {
        f"{path}.{name}": tensor
        for path, layer in quantized_layers(component).items()
        for name, tensor in (("weight", layer.weight), ("scales", layer.get_buffer("scales")))
    }


def install_quantized_layers(component: nn.Module, method: Method) -> dict[str, QuantizedLinear]:
    """Put layers for quantised weights, on the meta device, in the place of a component's; return them by path.

    Raises:
        ConfigError: a component that is neither a tower nor the bridge, or another method.
    """
    layers = {}
    for path in quantizable_layers(component):
        layer = component.get_submodule(path)
        assert isinstance(layer, nn.Linear)
        quantized = QuantizedLinear(layer.in_features, layer.out_features, layer.bias is not None, method)
        if layer.bias is not None:
            quantized.bias.data = quantized.bias.data.to(layer.bias.dtype)
        layers[path] = quantized
        _replace(component, path, quantized)
    _round_inputs_once(component)
    return layers


def summarise_errors(errors: Mapping[str, float]) -> str:
    """Return one line for the log: how many weights, their mean relative error, and the worst of them."""
    if not errors:
        return "no weights quantised"
    worst = max(errors, key=lambda key: errors[key])
    mean = sum(errors.values()) / len(errors)
    return f"{len(errors)} weights, relative error {mean:.4f} on average, {errors[worst]:.4f} at most ({worst})"


def _round_inputs_once(component: nn.Module) -> None:
    """Let self-attentions round their input to float8 once for queries, keys and values: the same bits."""
    for attention in component.modules():
        if isinstance(attention, Attention) and len(_rounding_projections(attention)) == _NUM_PROJECTIONS:
            # A bound method, for the compiler (`mova.kernels.text_cache`).
            setattr(attention, "self_projections", types.MethodType(self_projections, attention))  # noqa: B010


def self_projections(attention: Attention, x_BLD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Take the place of `Attention.self_projections`, by whose name pickle finds that of the class again."""
    layers = _rounding_projections(attention)
    if len(layers) < _NUM_PROJECTIONS:
        return Attention.self_projections(attention, x_BLD)
    _refuse_gradients(x_BLD)
    rows, row_scales = round_to_float8(x_BLD.reshape(-1, x_BLD.shape[-1]))
    dtype, lead = _working_dtype(x_BLD), x_BLD.shape[:-1]
    q, k, v = (
        multiply_rounded(rows, row_scales, layer.weight, layer.get_buffer("scales"), layer.bias, dtype).unflatten(
            0, lead
        )
        for layer in layers
    )
    return q, k, v


def _rounding_projections(attention: Attention) -> list[QuantizedLinear]:
    return [layer for layer in (attention.q, attention.k, attention.v) if _rounds_its_input(layer)]


def _rounds_its_input(layer: nn.Module) -> TypeGuard[QuantizedLinear]:
    """Say whether a layer computes in float8 as here, and nobody listens to its call or stands before it."""
    if not isinstance(layer, QuantizedLinear) or layer.method != "float8_linear":
        return False
    is_plain = getattr(layer.forward, "__func__", None) is QuantizedLinear.forward
    return is_plain and not (layer._forward_hooks or layer._forward_pre_hooks)


def _refuse_gradients(x: torch.Tensor) -> None:
    if torch.is_grad_enabled() and x.requires_grad:
        raise ConfigError(
            f"gradients pass through {' and '.join(FROZEN_METHODS)}, got float8_linear, which rounds its input too; "
            "nearest is float8"
        )


def _working_dtype(x: torch.Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _replace(component: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(component.get_submodule(parent), name, layer)
