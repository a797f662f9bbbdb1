"""The one attention, against its definition."""

from __future__ import annotations

import pytest
import torch

from mova.errors import ConfigError
from mova.models.attention import Attention, RMSNorm
from mova.models.rope import audio_rotary, rotate_pairs


def _by_definition(layer, x, context, rotary=None):
    def heads(tokens):
        return tokens.unflatten(-1, (layer.num_heads, -1))

    q, k, v = heads(layer.norm_q(layer.q(x))), heads(layer.norm_k(layer.k(context))), heads(layer.v(context))
    if rotary is not None:
        q, k = rotate_pairs(q, rotary), rotate_pairs(k, rotary)
    scores = torch.einsum("blne,bkne->bnlk", q, k) / q.shape[-1] ** 0.5
    return layer.o(torch.einsum("bnlk,bkne->blne", scores.softmax(-1), v).flatten(2))


@pytest.fixture
def tokens():
    return torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(0))


def test_self_attention_turns_queries_and_keys(tokens):
    torch.manual_seed(0)
    layer, rotary = Attention(24, 2, eps=1e-6), audio_rotary(7, 12, torch.device("cpu"))
    expected = _by_definition(layer, tokens, tokens, rotary)
    torch.testing.assert_close(layer(tokens, rotary=rotary), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(layer(tokens), expected, atol=1e-3)


def test_cross_attention_takes_a_context_of_another_width_and_length(tokens):
    torch.manual_seed(0)
    layer, context = Attention(24, 3, eps=1e-6, context_dim=10), torch.randn(2, 5, 10)
    torch.testing.assert_close(layer(tokens, context), _by_definition(layer, tokens, context), atol=1e-5, rtol=1e-5)


def test_norms_span_the_full_width_and_not_one_head():
    norm = RMSNorm(8, 1e-6)
    x = torch.tensor([[1.0, 1, 1, 1, 3, 3, 3, 3]])
    torch.testing.assert_close(norm(x), x / 5**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_the_norm_is_the_same(dtype):
    torch.manual_seed(0)
    norm, x = RMSNorm(64, 1e-6), torch.randn(2, 7, 64).to(dtype)
    norm.weight.data.normal_()
    expected, kept = norm(x), x.clone()
    with torch.no_grad():
        made = norm(x)
        assert torch.equal(norm(torch.zeros(1, 64)), torch.zeros(1, 64))
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(x, kept)


def test_the_backend_can_be_set_from_outside(tokens):
    torch.manual_seed(0)
    layer = Attention(24, 2, eps=1e-6)
    expected = layer(tokens)
    layer.set_attention_backend("_native_math")
    assert layer.processor._attention_backend == "_native_math"
    torch.testing.assert_close(layer(tokens), expected, atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="no-such-backend"):
        layer.set_attention_backend("no-such-backend")


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="heads must divide the width 24, got 5"):
        Attention(24, 5, eps=1e-6)


def test_projections_of_self_attention_may_be_taken_together(tokens):
    torch.manual_seed(0)
    layer, rotary, context = Attention(24, 2, eps=1e-6), audio_rotary(7, 12, torch.device("cpu")), torch.randn(2, 5, 24)
    expected, expected_cross = layer(tokens, rotary=rotary), layer(tokens, context)
    calls = []

    def joined(x):
        calls.append(tuple(x.shape))
        product = torch.nn.functional.linear(
            x,
            torch.cat([layer.q.weight, layer.k.weight, layer.v.weight]),
            torch.cat([layer.q.bias, layer.k.bias, layer.v.bias]),
        )
        return product.chunk(3, dim=-1)

    layer.self_projections = joined
    torch.testing.assert_close(layer(tokens, rotary=rotary), expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(layer(tokens, context), expected_cross)
    assert calls == [(2, 7, 24)]


def test_self_attention_calls_each_of_its_layers_once_so_that_hooks_and_adapters_act(tokens):
    layer, called = Attention(24, 2, eps=1e-6), []
    for name in ("q", "k", "v", "norm_q", "norm_k", "o"):
        layer.get_submodule(name).register_forward_hook(lambda *_, name=name: called.append(name))
    layer(tokens)
    assert sorted(called) == ["k", "norm_k", "norm_q", "o", "q", "v"]
