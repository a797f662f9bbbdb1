"""Components and layers that are quantised without a file, in the way in which loading quantises them."""

from __future__ import annotations

from torch import nn

from mova.weights.quantize.codes import quantize_weight
from mova.weights.quantize.layers import QuantizedLinear, Quantizer
from mova.weights.quantize.layout import Method


def quantise(component: nn.Module, method: Method) -> dict[str, float]:
    """Quantise a component in place; return the relative error of each weight, by key."""
    wants_gradient = {path for path, parameter in component.named_parameters() if parameter.requires_grad}
    state = component.state_dict()
    quantizer = Quantizer(method)
    quantizer.prepare(component)
    quantized = {}
    for key, tensor in state.items():
        quantized |= quantizer.quantize(key, tensor) or {key: tensor}
    component.load_state_dict(quantized, assign=True)
    for path, parameter in component.named_parameters():
        parameter.requires_grad_(path in wants_gradient and parameter.is_floating_point())
    return quantizer.errors


def quantised_layer(layer: nn.Linear, method: Method) -> QuantizedLinear:
    """Return the quantised form of a layer, on its device."""
    made = QuantizedLinear(layer.in_features, layer.out_features, layer.bias is not None, method)
    weight, scales = quantize_weight(layer.weight.detach(), method)
    bias = {} if layer.bias is None else {"bias": layer.bias.detach()}
    made.load_state_dict({"weight": weight, "scales": scales, **bias}, assign=True)
    return made.requires_grad_(False)
