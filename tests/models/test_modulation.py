"""Timestep embedding and modulation, in float32 whatever surrounds them."""

from __future__ import annotations

import math

import pytest
import torch

from mova.models.modulation import (
    Float32LayerNorm,
    Float32Linear,
    add_gated,
    initial_modulation,
    modulate,
    timestep_embedding,
)


def test_timestep_embedding_is_cosines_then_sines_of_falling_frequencies():
    embedding = timestep_embedding(torch.tensor([0.0, 900.0]), 8)
    assert embedding.dtype == torch.float32
    assert torch.equal(embedding[0], torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]))
    angles = [900 * 10_000 ** (-index / 4) for index in range(4)]
    expected = [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]
    torch.testing.assert_close(embedding[1], torch.tensor(expected), atol=1e-6, rtol=0)


def test_integer_timesteps_are_not_truncated():
    assert torch.equal(timestep_embedding(torch.tensor([750]), 16), timestep_embedding(torch.tensor([750.0]), 16))


def test_float32_layers_compute_in_float32_under_autocast_and_with_stored_bfloat16():
    torch.manual_seed(0)
    linear, norm = Float32Linear(16, 16).to(torch.bfloat16), Float32LayerNorm(16).to(torch.bfloat16)
    x = torch.randn(4, 16)
    with torch.autocast("cpu", torch.bfloat16):
        projected, normed = linear(x), norm(x)
    expected = x @ linear.weight.float().T + linear.bias.float()
    assert projected.dtype == normed.dtype == torch.float32
    torch.testing.assert_close(projected, expected, atol=1e-6, rtol=1e-6)
    assert not torch.equal(projected.to(torch.bfloat16).float(), projected)


def test_modulation_and_gate_follow_their_formulas_and_keep_the_stream_dtype():
    torch.manual_seed(0)
    norm = Float32LayerNorm(8, elementwise_affine=False)
    x, update = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    shift, scale = torch.randn(2, 1, 8), torch.randn(2, 1, 8)
    torch.testing.assert_close(modulate(norm, x, shift, scale), norm(x) * (1 + scale) + shift)
    torch.testing.assert_close(add_gated(x, update, scale), x + scale * update)
    low = x.to(torch.bfloat16)
    assert modulate(norm, low, shift, scale).dtype == torch.bfloat16
    assert add_gated(low, update.to(torch.bfloat16), scale).dtype == torch.bfloat16


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_the_results_are_those_with_them(batch, dtype):
    torch.manual_seed(0)
    norm = Float32LayerNorm(64, elementwise_affine=False)
    x, update = torch.randn(batch, 5, 64, dtype=dtype) + 1, torch.randn(batch, 5, 64, dtype=dtype)
    shift, scale, gate = torch.randn(3, batch, 1, 64)
    modulated, added = modulate(norm, x, shift, scale), add_gated(x, update, gate)
    kept = x.clone()
    with torch.no_grad():
        atol, rtol = (1e-6, 1e-5) if dtype == torch.float32 else (0, 2**-7)
        torch.testing.assert_close(modulate(norm, x, shift, scale), modulated, atol=atol, rtol=rtol)
        torch.testing.assert_close(add_gated(x, update, gate), added, atol=atol, rtol=rtol)
    assert torch.equal(x, kept)


def _gated_in_copies(x, update, gate):
    return torch.addcmul(x.float(), update.float(), gate).to(x.dtype)


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16),
                                    (torch.float32, torch.bfloat16), (torch.float16, torch.float16)])  # fmt: skip
def test_the_gated_sum_and_its_gradients_are_those_of_float32_copies_to_the_bit(dtypes):
    torch.manual_seed(0)
    found = []
    inputs = torch.randn(2, 33, 40).to(dtypes[0]), torch.randn(2, 33, 40).to(dtypes[1]), torch.randn(2, 1, 40)
    weight = torch.randn(2, 33, 40)
    for form in (add_gated, _gated_in_copies):
        given = [tensor.clone().requires_grad_() for tensor in inputs]
        added = form(*given)
        (added.float() * weight).sum().backward()
        with torch.no_grad():
            found.append([added.detach(), form(*inputs), *(tensor.grad for tensor in given)])
    for made, expected in zip(*found, strict=True):
        assert made.dtype == expected.dtype
        assert torch.equal(made, expected)


def test_initial_modulation_is_drawn_as_ever_and_has_no_values_without_a_device():
    torch.manual_seed(3)
    expected = torch.randn(1, 6, 48) / 48**0.5
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(initial_modulation(6, 48), expected)
    assert torch.equal(torch.rand(1), after), "the numbers after it are the same too"
    with torch.device("meta"):
        assert initial_modulation(2, 16).shape == (1, 2, 16)
