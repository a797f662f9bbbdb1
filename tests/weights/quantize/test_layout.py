"""What a method stores for a layer, by arithmetic and in fact."""

import pytest
import torch

from mova.errors import ConfigError
from mova.weights.quantize.codes import CODE_DTYPES, quantize_weight
from mova.weights.quantize.layout import (
    FROZEN_METHODS,
    METHODS,
    check_method,
    quantized_bytes,
    quantized_layout,
    storage_method,
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (40, 96), (7, 130), (64, 64), (3, 21)])
def test_what_is_counted_is_what_is_stored(method, shape):
    codes, scales = quantize_weight(torch.randn(shape), method)
    layout = quantized_layout(*shape, method)
    assert tuple(codes.shape) == layout.weight_shape
    assert codes.dtype == CODE_DTYPES[layout.weight_dtype]
    assert (scales.shape, scales.dtype) == ((layout.num_scales,), torch.float32)
    stored = sum(tensor.numel() * tensor.element_size() for tensor in (codes, scales))
    assert quantized_bytes(*shape, method) == layout.num_bytes == stored


def test_the_largest_layer_of_the_published_model():
    assert quantized_bytes(13_824, 5120, "float8") == 13_824 * 5120 + 4 * 13_824
    assert quantized_bytes(13_824, 5120, "nf4") == 13_824 * 5120 // 2 + 4 * 13_824 * 5120 // 64


def test_a_way_to_compute_is_stored_as_the_weights_it_computes_with():
    assert {method: storage_method(method) for method in METHODS} == {
        **{method: method for method in FROZEN_METHODS},
        "float8_linear": "float8",
    }


def test_an_unknown_method_is_explained():
    assert check_method("nf4") == "nf4"
    with pytest.raises(ConfigError, match="must be float8, float8_linear, int8 or nf4, got 'fp8'"):
        check_method("fp8")
