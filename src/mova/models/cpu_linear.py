"""Linear layers through oneDNN, for inference in float32 on CPUs with AVX-512.

PyTorch hands float32 products to MKL, which uses half the width of the vectors of an AMD processor. oneDNN, which
PyTorch also ships and which its compiler calls, uses all of it: 2.2 times the rate there, the same float32 sums in
another order. Below some tens of rows its own preparation costs more than it saves.
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
    `nn.Linear` is changed: subclasses (computing in float32, quantised, adapted) have reasons of their own.

    Args:
        modules: changed in place (the method of their linear layers, not the weights).

    Returns:
        The number of layers that use it: none where this machine or this PyTorch gains nothing.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return 0
    found = [layer for module in modules for layer in module.modules() if type(layer) is nn.Linear]
    for layer in found:
        layer.forward = types.MethodType(_forward, layer)  # type: ignore[method-assign]
    return len(found)


def _forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    weight = layer.weight
    fits = x.device.type == weight.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    is_large = x.numel() >= MIN_ROWS * layer.in_features
    if not fits or not is_large or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return functional.linear(x, weight, layer.bias)
    if torch.compiler.is_compiling():
        # Under a name of ours: of torch's own operator the compiler knows a form with constant weights only.
        compiled: torch.Tensor = torch.ops.mova.onednn_linear(x, weight, layer.bias)
        return compiled
    return _product(x, weight, layer.bias)


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _shape_of_product(x: torch.Tensor, weight: torch.Tensor, _: torch.Tensor | None) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


torch.library.define("mova::onednn_linear", "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
torch.library.impl("mova::onednn_linear", "CPU")(_product)
torch.library.register_fake("mova::onednn_linear")(_shape_of_product)
