"""What quantised weights look like: the methods, and the shapes and bytes that each stores for a layer (no torch)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from mova.errors import ConfigError

Method = Literal["float8", "float8_linear", "int8", "nf4"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
"""float8, int8 and nf4 quantise weights alone; float8_linear also rounds what enters a layer (for inference only)."""

FROZEN_METHODS: Final[tuple[Method, ...]] = ("float8", "int8", "nf4")
"""Those through which gradients reach the input; they are also the ways a weight is stored in a file."""

"""Beside quantised weights: the error of each."""

NF4_GROUP: Final = 64
"""Weights of nf4 that share a scale."""

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class QuantizedLayout:
    """The two tensors that stand for the weight of one linear layer.

    Attributes:
        weight_shape: shape of the quantised weight.
        weight_dtype: its dtype in the words of safetensors, one byte per element: F8_E4M3, I8 or U8.
        num_scales: number of float32 scales.
    """

    weight_shape: tuple[int, int]
    weight_dtype: str
    num_scales: int

    @property
    def num_bytes(self) -> int:
        """Bytes of both tensors."""
        return math.prod(self.weight_shape) + _FLOAT32_BYTES * self.num_scales


def quantized_layout(out_features: int, in_features: int, method: Method) -> QuantizedLayout:
    """Return what a method stores for the weight of a layer.

    Args:
        out_features, in_features: sizes of the layer.
        method: float8 (stored alike for float8_linear) and int8 have a scale per output, nf4 one per 64 weights.
    """
    if storage_method(method) != "nf4":
        return QuantizedLayout((out_features, in_features), "I8" if method == "int8" else "F8_E4M3", out_features)
    num_groups = math.ceil(out_features * in_features / NF4_GROUP)
    # Two weights per byte; what fills up the last group is stored too.
    return QuantizedLayout((num_groups * NF4_GROUP // 2, 1), "U8", num_groups)


def quantized_bytes(out_features: int, in_features: int, method: Method) -> int:
    """Return the bytes of a layer's quantised weight, scales included and its bias left out."""
    return quantized_layout(out_features, in_features, method).num_bytes


def storage_method(method: Method) -> Method:
    """Return how the weights of a method are stored: float8_linear computes in another way with those of float8."""
    return "float8" if method == "float8_linear" else method


def check_method(name: str) -> Method:
    """Return the name of a method.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in METHODS:
        raise ConfigError(f"quantisation must be {', '.join(METHODS[:-1])} or {METHODS[-1]}, got {name!r}")
    return name
