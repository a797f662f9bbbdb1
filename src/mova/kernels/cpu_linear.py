"""Linear layers through oneDNN, for inference in float32 on CPUs with AVX-512.

PyTorch hands float32 products to MKL, which uses half the width of the vectors of an AMD processor. oneDNN, which
PyTorch also ships and which its compiler calls, uses all of it: 2.2 times the rate there, the same float32 sums in
another order. Below some tens of rows its own preparation costs more than it saves. A GELU behind a layer is applied
while its sums are at hand, which saves two passes over the widest tensors of a block.
"""

from __future__ import annotations

import types
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

MIN_ROWS = 64


def use_onednn_linears(modules: Iterable[nn.Module]) -> int:
    """Let linear layers compute through oneDNN where all is float32 on a CPU and no gradient is wanted.

    Parameters, state-dict names and all other results stay as they are; a second call changes nothing. Only plain
    `nn.Linear` is changed: subclasses (computing in float32, quantised, adapted) have reasons of their own, and what
    takes the place of a layer later is called as if nothing had been changed.

    Args:
        modules: changed in place (the methods of their linear layers, and of sequences with a GELU behind one; not the
            weights).

    Returns:
        The number of layers that use it: none where this machine or this PyTorch gains nothing.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return 0
    parts = [part for module in modules for part in module.modules()]
    found = [part for part in parts if type(part) is nn.Linear]
    for layer in found:
        layer.forward = types.MethodType(_forward, layer)  # type: ignore[method-assign]
    for part in parts:
        if type(part) is nn.Sequential and any(type(one) is nn.GELU for one in part):
            part.forward = types.MethodType(_forward_sequence, part)  # type: ignore[method-assign]
    return len(found)


def restore_onednn_linears(modules: Iterable[nn.Module]) -> None:
    """Give layers that were pickled their forward back.

    A pickle holds the name of a method only, which for the layer's own is that of its class. A partial could be
    pickled, but the compiler would compile every layer by itself.
    """
    for module in modules:
        for part in module.modules():
            if "forward" in vars(part) and type(part) in (nn.Linear, nn.Sequential):
                function = _forward if type(part) is nn.Linear else _forward_sequence
                part.forward = types.MethodType(function, part)  # type: ignore[method-assign]


def _forward(layer: nn.Linear, x: torch.Tensor, gelu: nn.GELU | None = None) -> torch.Tensor:
    weight = layer.weight
    fits = x.device.type == weight.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    is_large = x.numel() >= MIN_ROWS * layer.in_features
    if not fits or not is_large or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        plain = functional.linear(x, weight, layer.bias)
        return plain if gelu is None else functional.gelu(plain, approximate=gelu.approximate)
    behind = None if gelu is None else gelu.approximate
    if torch.compiler.is_compiling():
        # Under a name of ours: of torch's own operator the compiler knows a form with constant weights only.
        compiled: torch.Tensor = torch.ops.mova.onednn_linear(x, weight, layer.bias, behind)
        return compiled
    return _product(x, weight, layer.bias, behind)


def _forward_sequence(sequence: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    parts = list(sequence)
    while parts:
        part = parts.pop(0)
        x = part(x, parts.pop(0)) if parts and _are_joined(part, parts[0]) else part(x)
    return x


def _are_joined(layer: nn.Module, gelu: nn.Module) -> bool:
    """Say whether a layer still computes as here, and nobody listens between it and its GELU."""
    is_ours = type(layer) is nn.Linear and getattr(layer.forward, "__func__", None) is _forward
    return is_ours and type(gelu) is nn.GELU and not (layer._forward_hooks or gelu._forward_pre_hooks)


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, gelu: str | None = None) -> torch.Tensor:
    behind = ("none", "") if gelu is None else ("gelu", gelu)
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, behind[0], [], behind[1])
    return product


def _shape_of_product(x: torch.Tensor, weight: torch.Tensor, *_: torch.Tensor | str | None) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


torch.library.define("mova::onednn_linear", "(Tensor x, Tensor weight, Tensor? bias, str? gelu) -> Tensor")
torch.library.impl("mova::onednn_linear", "CPU")(_product)
torch.library.register_fake("mova::onednn_linear")(_shape_of_product)


for _function in (_forward, _forward_sequence):
    # By this name pickle finds the method of a layer again.
    _function.__name__ = "forward"
