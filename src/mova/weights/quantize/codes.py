"""Weights quantised into one byte or half a byte each, and dequantised again; products of float8 matrices.

The one place that knows bitsandbytes; what it is used for and why: docs/decisions/0002-quantised-weights.md.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch.nn import functional

from mova.errors import MissingExtraError
from mova.weights.quantize.layout import NF4_GROUP, Method, check_method, storage_method

# By the names of safetensors.
CODE_DTYPES: Final = {"F8_E4M3": torch.float8_e4m3fn, "I8": torch.int8, "U8": torch.uint8}
_FLOAT8_MAX = torch.finfo(torch.float8_e4m3fn).max
_TINY = torch.finfo(torch.float32).tiny
# Values that are rounded to float8 at once: their float32 form is there beside them.
_ROUNDED_AT_ONCE = 2**25


def quantize_weight(weight: torch.Tensor, method: Method) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise a weight on its device.

    Args:
        weight: (out, in), floating.
        method: how.

    Returns:
        The quantised weight, (out, in) in float8 or int8 or two values per byte in a column of uint8, and its float32
        scales: one per output, or one per 64 weights.

    Raises:
        MissingExtraError: the method needs bitsandbytes, which is not installed.
        ConfigError: another method.
    """
    stored = storage_method(check_method(method))
    if stored == "float8":
        return round_to_float8(weight)
    library = require_library()
    if stored == "int8":
        # Its CUDA kernel takes half precision only; the CPU is given the same so that both find the same numbers.
        codes, scales, _ = library.int8_vectorwise_quant(weight.to(torch.float16))
        return codes, scales
    # A row per scale: with the weight's own rows the CPU kernel of bitsandbytes 0.50 dequantises with wrong scales
    # wherever a row is not a multiple of 64 long.
    groups = functional.pad(weight.flatten(), (0, -weight.numel() % NF4_GROUP)).view(-1, NF4_GROUP)
    codes, state = library.quantize_4bit(groups, blocksize=NF4_GROUP, quant_type="nf4")
    return codes, state.absmax


def dequantize_weight(
    codes: torch.Tensor, scales: torch.Tensor, method: Method, shape: tuple[int, int], dtype: torch.dtype
) -> torch.Tensor:
    """Return what `quantize_weight` quantised, (out, in) in a floating dtype."""
    stored = storage_method(method)
    if stored == "float8":
        dense, factor = _from_float8(codes, dtype)
        # In place: computed in float32 and rounded once, whatever the dtype.
        return dense.mul_((scales * factor).unsqueeze(1))
    library = require_library()
    if stored == "int8":
        eight_bit: torch.Tensor = library.int8_vectorwise_dequant(codes, scales).to(dtype)
        return eight_bit
    groups = torch.Size((len(scales), NF4_GROUP))
    state = library.QuantState(absmax=scales, shape=groups, dtype=dtype, blocksize=NF4_GROUP, quant_type="nf4")
    four_bit: torch.Tensor = library.dequantize_4bit(codes, state)
    # What fills up the last group is cut off.
    return four_bit.flatten()[: shape[0] * shape[1]].view(shape)


@torch.no_grad()
def relative_error(weight: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor, method: Method) -> float:
    """Return how far a quantised weight is from the original: the norm of the difference over the norm; 0 for zeros."""
    found = dequantize_weight(codes, scales, method, (weight.shape[0], weight.shape[1]), torch.float32)
    size = torch.linalg.vector_norm(weight, dtype=torch.float32)
    # In place: the largest weights take 0.3 GB in float32.
    return float(torch.linalg.vector_norm(found.sub_(weight)) / size.clamp_min(_TINY))


def is_quantized(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor holds quantised weights, which no cast to another dtype may touch."""
    return tensor.dtype in CODE_DTYPES.values()


def round_to_float8(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round each row to float8 (e4m3: 3 bits of mantissa), scaled so that its largest value is the largest there is.

    Args:
        rows: (N, K), floating.

    Returns:
        (N, K) in `torch.float8_e4m3fn`, and the scales (N,), float32, that lead back to the values.
    """
    least, most = rows.aminmax(dim=1)
    limits = torch.maximum(most, -least).float()
    # The smallest normal number for a row of zeros, and where dividing would leave the normal numbers.
    scales = (limits / _FLOAT8_MAX).clamp_min(_TINY)
    if rows.numel() <= _ROUNDED_AT_ONCE or torch.compiler.is_compiling():
        return _divided(rows, scales), scales
    rounded = torch.empty(rows.shape, dtype=torch.float8_e4m3fn, device=rows.device)
    size = max(1, _ROUNDED_AT_ONCE // rows.shape[1])
    for part, found, by in zip(rows.split(size), rounded.split(size), scales.split(size), strict=True):
        found.copy_(_divided(part, by))
    return rounded, scales


def multiply_float8(
    x: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype
) -> torch.Tensor:
    """Return a linear layer's output from its input and weight, both in float8 with a scale per row.

    On a GPU with such units (compute capability 8.9 and later) and in bfloat16 the product is taken there; elsewhere
    the same float8 numbers are multiplied in float32 or bfloat16, so that the error can be measured on any device.

    Args:
        x: (..., in), floating; each row is rounded with a scale of its own.
        weight: (out, in), float8.
        scales: (out,), float32.
        bias: (out,) or None.
        dtype: dtype of the result, (..., out).
    """
    rounded = round_to_float8(x.reshape(-1, x.shape[-1]))
    return multiply_rounded(*rounded, weight, scales, bias, dtype).view(*x.shape[:-1], len(weight))


def multiply_rounded(
    rows: torch.Tensor,
    row_scales: torch.Tensor,
    weight: torch.Tensor,
    scales: torch.Tensor,
    bias: torch.Tensor | None,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Return a linear layer's output (N, out) from an input that was rounded before, for one layer or several.

    Args:
        rows, row_scales: from `round_to_float8`, (N, in) and (N,).
        weight, scales, bias, dtype: see `multiply_float8`.
    """
    bias = None if bias is None else bias.to(dtype)
    if dtype == torch.bfloat16 and _has_float8_products(weight):
        # The shorter sums of fast accumulation are off by far less than the rounding to 3 bits of mantissa.
        product: torch.Tensor = torch._scaled_mm(
            rows,
            weight.t(),
            scale_a=row_scales.unsqueeze(1),
            scale_b=scales.unsqueeze(0),
            bias=bias,
            out_dtype=dtype,
            use_fast_accum=True,
        )
        return product
    working = torch.bfloat16 if dtype == torch.bfloat16 else torch.float32
    (left, left_factor), (right, right_factor) = (_from_float8(tensor, working) for tensor in (rows, weight))
    output = (left @ right.t()).mul_((row_scales * left_factor).unsqueeze(1)).mul_(scales * right_factor).to(dtype)
    return output if bias is None else output + bias


def require_library() -> Any:
    """Return the functions of bitsandbytes.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import bitsandbytes.functional as library
    except ModuleNotFoundError as error:
        raise MissingExtraError("bitsandbytes", "quantize") from error
    return library


def require_method(method: Method) -> None:
    """Make sure that a method can be used here.

    Raises:
        MissingExtraError: it needs bitsandbytes, which is not installed.
        ConfigError: there is no such method.
    """
    if storage_method(check_method(method)) != "float8":
        require_library()


def _divided(rows: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    # The division may end a rounding error above the largest value, beyond which a cast gives NaN.
    return (rows / scales.unsqueeze(1)).clamp_(-_FLOAT8_MAX, _FLOAT8_MAX).to(torch.float8_e4m3fn)


def _from_float8(codes: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, float]:
    """Return the numbers of a float8 tensor in another dtype, and the factor that is missing from them."""
    if codes.device.type != "cpu":
        return codes.to(dtype), 1.0
    # PyTorch's own cast takes 9 ns a value on a CPU. The bits of a float8 number are those of a float16 number with a
    # shorter exponent, 2**8 smaller: one shift, with the copy of the sign that it drags along taken out.
    bits = codes.view(torch.int8).to(torch.int16).bitwise_left_shift_(7).bitwise_and_(~0x4000)
    return bits.view(torch.float16).to(dtype), 256.0


def _has_float8_products(weight: torch.Tensor) -> bool:
    if not weight.is_cuda or any(size % 16 for size in weight.shape):
        return False
    return torch.cuda.get_device_capability(weight.device) >= (8, 9)
