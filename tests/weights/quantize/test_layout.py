"""What a method stores for a layer, by arithmetic and in fact."""

import pytest
import torch

from mova.errors import ConfigError
from mova.weights.quantize.layout import (
    FROZEN_METHODS,
    METHODS,
    check_method,
    packed_bytes,
    packed_layout,
    storage_method,
)
from mova.weights.quantize.packing import PACKED_DTYPES, quantize_weight


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (40, 96), (7, 130), (64, 64), (3, 21)])
def test_what_is_counted_is_what_is_stored(method, shape):
    packed, scales = quantize_weight(torch.randn(shape), method)
    layout = packed_layout(*shape, method)
    assert tuple(packed.shape) == layout.weight_shape
    assert packed.dtype == PACKED_DTYPES[layout.weight_dtype]
    assert (scales.shape, scales.dtype) == ((layout.num_scales,), torch.float32)
    stored = sum(tensor.numel() * tensor.element_size() for tensor in (packed, scales))
    assert packed_bytes(*shape, method) == layout.num_bytes == stored


def test_the_largest_layer_of_the_published_model():
    assert packed_bytes(13_824, 5120, "float8") == 13_824 * 5120 + 4 * 13_824
    assert packed_bytes(13_824, 5120, "nf4") == 13_824 * 5120 // 2 + 4 * 13_824 * 5120 // 64


def test_a_way_to_compute_is_stored_as_the_weights_it_computes_with():
    assert {method: storage_method(method) for method in METHODS} == {
        **{method: method for method in FROZEN_METHODS},
        "float8_linear": "float8",
    }


def test_an_unknown_method_is_explained():
    assert check_method("nf4") == "nf4"
    with pytest.raises(ConfigError, match="must be float8, float8_linear, int8 or nf4, got 'fp8'"):
        check_method("fp8")
