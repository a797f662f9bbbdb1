"""Quantisation and dequantisation, and float8 products against the same arithmetic by hand."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.weights.quantize import codes
from mova.weights.quantize.codes import (
    dequantize_weight,
    is_quantized,
    multiply_float8,
    quantize_weight,
    relative_error,
    round_to_float8,
)
from mova.weights.quantize.layout import FROZEN_METHODS

# Of normally distributed weights: measured 0.007 to 0.01, 0.09 and 0.026.
BOUNDS = {"int8": 0.02, "nf4": 0.11, "float8": 0.04}


def every_float8():
    """Every finite number of the format, and zero twice."""
    numbers = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    return numbers[numbers.float().isfinite()]


@settings(max_examples=30, deadline=None)
@given(
    wide_in=st.integers(1, 130),
    wide_out=st.integers(1, 130),
    method=st.sampled_from(FROZEN_METHODS),
    scale=st.sampled_from([1e-2, 1.0]),
)
def test_any_shape_comes_back_close_to_the_original(wide_in, wide_out, method, scale):
    # Values grow from the first to the last: a scale that is taken from the wrong place shows.
    growing = torch.logspace(-2, 2, wide_out * wide_in).view(wide_out, wide_in)
    weight = scale * growing * torch.randn(wide_out, wide_in, generator=torch.Generator().manual_seed(1))
    quantized, scales = quantize_weight(weight, method)
    dense = dequantize_weight(quantized, scales, method, (wide_out, wide_in), torch.float32)
    # Few or very uneven weights are further off than many even ones; one wrong scale is further off than all of them.
    error = relative_error(weight, quantized, scales, method)
    assert error < 2 * BOUNDS[method]
    assert error == pytest.approx(float((dense - weight).norm() / weight.norm()), rel=1e-4)


def test_every_float8_number_is_dequantized_exactly():
    numbers = every_float8().view(2, 127)
    for dtype in (torch.float32, torch.bfloat16):
        found = dequantize_weight(numbers, torch.ones(2), "float8", (2, 127), dtype)
        assert torch.equal(found, numbers.float().to(dtype))


def test_a_row_is_scaled_to_its_largest_value_and_rounded_to_the_nearest():
    row = torch.tensor([[0.7, -0.31, 0.0402, 7e-5, 0.0]])
    rounded, scales = round_to_float8(row)
    assert scales.item() == pytest.approx(0.7 / 448)
    numbers = every_float8().float()
    for value, found in zip((row / scales).flatten(), rounded.float().flatten(), strict=True):
        assert abs(found - value) == (numbers - value).abs().min()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_of_zeros_and_of_very_small_and_very_large_values_stay_finite(dtype):
    limits = torch.finfo(dtype)
    rows = torch.stack([torch.zeros(8), torch.full((8,), limits.max), torch.full((8,), limits.tiny)]).to(dtype)
    rounded, scales = round_to_float8(rows)
    back = dequantize_weight(rounded, scales, "float8", (3, 8), torch.float32)
    assert not back[0].any()
    torch.testing.assert_close(back[1:], rows[1:].float(), rtol=0.07, atol=0)


def test_many_rows_are_rounded_part_by_part_to_the_same_numbers(monkeypatch):
    rows = torch.randn(70, 33)
    at_once, scales = round_to_float8(rows)
    monkeypatch.setattr(codes, "_ROUNDED_AT_ONCE", 200)
    in_parts, again = round_to_float8(rows)
    assert torch.equal(in_parts.view(torch.uint8), at_once.view(torch.uint8))
    assert torch.equal(scales, again)


@pytest.mark.parametrize("with_bias", [True, False])
def test_a_float8_product_is_that_of_the_rounded_numbers(with_bias):
    """By hand: both sides rounded with PyTorch's own cast, multiplied in float64."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 5, 48), torch.randn(32, 48)
    bias = torch.randn(32) if with_bias else None

    def by_hand(rows):
        scales = rows.abs().amax(-1, keepdim=True) / 448
        return (rows / scales).to(torch.float8_e4m3fn).double() * scales.double()

    expected = by_hand(x) @ by_hand(weight).T + (0 if bias is None else bias.double())
    found = multiply_float8(x, *quantize_weight(weight, "float8_linear"), bias, torch.float32)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    # In bfloat16 only the result is coarser.
    half = multiply_float8(x, *quantize_weight(weight, "float8_linear"), bias, torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert float((half.double() - expected).norm() / expected.norm()) < 0.01


def test_a_token_that_is_far_larger_than_the_others_costs_only_itself():
    """Each token has its own scale."""
    x = torch.randn(4, 64)
    weight, scales = quantize_weight(torch.randn(16, 64), "float8")
    before = multiply_float8(x, weight, scales, None, torch.float32)
    x[0] *= 1e4
    after = multiply_float8(x, weight, scales, None, torch.float32)
    assert torch.equal(before[1:], after[1:])


def test_float8_units_are_given_what_their_kernel_takes(monkeypatch):
    """On fake tensors of a GPU: shapes, strides and dtypes are checked by PyTorch, the numbers are not."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    calls = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 9))
    product = torch._scaled_mm
    monkeypatch.setattr(torch, "_scaled_mm", lambda *args, **kwargs: calls.append(1) or product(*args, **kwargs))
    with FakeTensorMode():
        x = torch.empty(2, 30, 64, dtype=torch.bfloat16, device="cuda")
        weight = torch.empty(48, 64, dtype=torch.float8_e4m3fn, device="cuda")
        scales, bias = torch.empty(48, device="cuda"), torch.empty(48, dtype=torch.bfloat16, device="cuda")
        output = multiply_float8(x, weight, scales, bias, torch.bfloat16)
        assert (output.shape, output.dtype, len(calls)) == ((2, 30, 48), torch.bfloat16, 1)
        # A layer that the kernel cannot take goes the other way.
        odd = torch.empty(20, 64, dtype=torch.float8_e4m3fn, device="cuda")
        output = multiply_float8(x, odd, torch.empty(20, device="cuda"), None, torch.bfloat16)
        assert (output.shape, len(calls)) == ((2, 30, 20), 1)


def test_quantized_tensors_are_known_by_their_dtype():
    assert all(is_quantized(quantize_weight(torch.randn(4, 64), method)[0]) for method in FROZEN_METHODS)
    assert not is_quantized(torch.randn(2).bfloat16())


def test_only_one_file_knows_the_library_of_quantized_weights():
    package = Path(codes.__file__).parents[1]
    users = [path.name for path in package.rglob("*.py") if "bitsandbytes.functional" in path.read_text()]
    assert users == ["codes.py"]
