"""Linear layers through oneDNN, for inference on CPUs, in float32 and in bfloat16.

PyTorch hands float32 products to MKL, which on some processors of AMD uses half the width of the vectors. oneDNN, which
PyTorch also ships and which its compiler calls, uses all of it: the same float32 sums in another order. Which of the
two is faster depends on processor and shape, so it is measured (`mova.kernels.calibration`); without a measurement
oneDNN takes every product of 64 rows and more where there is AVX-512. Below that its own preparation costs more than it
saves. A GELU behind a layer is applied while its sums are at hand, which saves two passes over the widest tensors of a
block; in bfloat16, whose products are oneDNN's in any case, that is what is gained.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from mova.kernels.linear_choice import FEW_ROWS, MANY_ROWS, ONEDNN, TORCH, LinearChoice, ShapeClass

MIN_ROWS = FEW_ROWS
_DTYPES: Final = (torch.float32, torch.bfloat16)


class _Uses(NamedTuple):
    """Which products of one layer oneDNN computes: of few rows and of many, without a GELU behind them and with one."""

    few: bool = True
    many: bool = True
    few_gelu: bool = True
    many_gelu: bool = True


# The classes of a layer, in the order of `_Uses`.
_CLASSES: Final = ((False, "few"), (False, "many"), (True, "few"), (True, "many"))
_USES: Final = "_mova_onednn"
_ALL: Final = _Uses()
_NONE: Final = _Uses(few=False, many=False, few_gelu=False, many_gelu=False)


def plain_uses_onednn() -> bool:
    """Say whether oneDNN computes products of 64 rows and more on this machine where nothing has been measured."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.backends.mkldnn.is_available()


def use_onednn_linears(modules: Iterable[nn.Module], choice: LinearChoice | None = None) -> int:
    """Let linear layers compute through oneDNN where all is of one such dtype on a CPU and no gradient is wanted.

    Parameters, state-dict names and all other results stay as they are; a second call changes nothing. Only plain
    `nn.Linear` is changed: subclasses (computing in float32, quantised, adapted) have reasons of their own, and what
    takes the place of a layer later is called as if nothing had been changed.

    Args:
        modules: changed in place (the methods of their linear layers, and of sequences with a GELU behind one; not the
            weights).
        choice: what was measured; None, and shapes that it says nothing of, go by the fixed rule: all or none.

    Returns:
        The number of layers that use it: none where this machine or this PyTorch gains nothing.
    """
    is_plain = plain_uses_onednn()
    if not is_plain and choice is None:
        return 0
    parts = [part for module in modules for part in module.modules()]
    count = 0
    for layer in [part for part in parts if type(part) is nn.Linear]:
        uses = _uses(layer, choice, is_plain)
        if any(uses):
            count += 1
            vars(layer)[_USES] = uses
            layer.forward = types.MethodType(_forward, layer)  # type: ignore[method-assign]
        elif _USES in vars(layer):
            del vars(layer)[_USES], layer.forward
    for part in parts:
        if type(part) is nn.Sequential and any(type(one) is nn.GELU for one in part):
            part.forward = types.MethodType(_forward_sequence, part)  # type: ignore[method-assign]
    return count


def layers_of(modules: Iterable[nn.Module]) -> Iterator[tuple[nn.Linear, bool]]:
    """Yield the linear layers that may compute through oneDNN, and whether a GELU is applied with their product."""
    parts = [part for module in modules for part in module.modules()]
    before_gelu = {
        id(first)
        for part in parts
        if type(part) is nn.Sequential
        for first, second in zip(part, list(part)[1:], strict=False)
        if type(second) is nn.GELU
    }
    for part in parts:
        if type(part) is nn.Linear:
            yield part, id(part) in before_gelu


def linears_in_use(modules: Iterable[nn.Module], machine: str) -> LinearChoice:
    """Return which products compute the linear layers of some modules now.

    Args:
        modules: with the layers.
        machine: that they are on.
    """
    products = {}
    for layer, has_gelu in layers_of(modules):
        uses = vars(layer).get(_USES, _NONE)
        for uses_it, (gelu, rows) in zip(uses, _CLASSES, strict=True):
            if gelu is has_gelu:
                one = ShapeClass.of(layer.in_features, layer.out_features, has_gelu=gelu, rows=rows)
                products[str(one)] = ONEDNN if uses_it else TORCH
    return LinearChoice(machine, products)


def _uses(layer: nn.Linear, choice: LinearChoice | None, is_plain: bool) -> _Uses:
    if choice is None:
        return _ALL
    width, out = layer.in_features, layer.out_features
    return _Uses(
        *(
            choice.uses_onednn(ShapeClass.of(width, out, has_gelu=has_gelu, rows=rows), otherwise=is_plain)
            for has_gelu, rows in _CLASSES
        )
    )


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
    fits = x.device.type == weight.device.type == "cpu" and x.dtype == weight.dtype in _DTYPES
    gets_onednn = fits and _is_for_onednn(layer, x, has_gelu=gelu is not None)
    if not gets_onednn or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        plain = functional.linear(x, weight, layer.bias)
        return plain if gelu is None else functional.gelu(plain, approximate=gelu.approximate)
    behind = None if gelu is None else gelu.approximate
    if torch.compiler.is_compiling():
        # Under a name of ours: of torch's own operator the compiler knows a form with constant weights only.
        compiled: torch.Tensor = torch.ops.mova.onednn_linear(x, weight, layer.bias, behind)
        return compiled
    return onednn_product(x, weight, layer.bias, behind)


def _is_for_onednn(layer: nn.Linear, x: torch.Tensor, *, has_gelu: bool) -> bool:
    few, many, few_gelu, many_gelu = getattr(layer, _USES, _ALL)
    if x.numel() < MIN_ROWS * layer.in_features:
        return False
    is_many = x.numel() >= MANY_ROWS * layer.in_features
    if has_gelu:
        return many_gelu if is_many else few_gelu
    return many if is_many else few


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


def onednn_product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, gelu: str | None = None
) -> torch.Tensor:
    """Return x (..., in) times weight (out, in) plus bias (out,), through oneDNN: (..., out) in their dtype.

    Args:
        x, weight, bias: float32 or bfloat16 on a CPU.
        gelu: the form of a GELU that is applied with it, "none" or "tanh"; None for no GELU.
    """
    behind = ("none", "") if gelu is None else ("gelu", gelu)
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, behind[0], [], behind[1])
    return product


def _shape_of_product(x: torch.Tensor, weight: torch.Tensor, *_: torch.Tensor | str | None) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


torch.library.define("mova::onednn_linear", "(Tensor x, Tensor weight, Tensor? bias, str? gelu) -> Tensor")
torch.library.impl("mova::onednn_linear", "CPU")(onednn_product)
torch.library.register_fake("mova::onednn_linear")(_shape_of_product)


for _function in (_forward, _forward_sequence):
    # By this name pickle finds the method of a layer again.
    _function.__name__ = "forward"
