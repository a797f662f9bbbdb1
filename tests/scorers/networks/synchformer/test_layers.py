"""Layers that both extractors have."""

import torch

import fill_weights
from mova.scorers.networks.synchformer.layers import Aggregation, Mlp, heads_first, heads_last


def test_many_tokens_become_one_in_whatever_order_they_come():
    layer = Aggregation(16, 2).eval()
    fill_weights.fill(layer.state_dict())
    tokens = torch.randn(3, 7, 16)
    with torch.inference_mode():
        found, turned = layer.gather(tokens), layer.gather(tokens.flip(1))
    assert found.shape == (3, 16)
    torch.testing.assert_close(found, turned, atol=1e-5, rtol=1e-5)


def test_the_aggregation_is_a_pre_norm_layer():
    layer = Aggregation(16, 2).eval()
    fill_weights.fill(layer.state_dict())
    tokens = torch.randn(2, 4, 16)
    with torch.no_grad():
        x = torch.cat([layer.cls_token.expand(2, -1, -1), tokens], dim=1)
        own = layer.norm1(x)
        x = x + layer.self_attn(own, own, own)[0]
        plain = x + layer.linear2(torch.nn.functional.gelu(layer.linear1(layer.norm2(x))))
        torch.testing.assert_close(layer.gather(tokens), plain[:, 0], atol=1e-5, rtol=1e-5)


def test_heads_come_and_go_and_an_mlp_keeps_the_shape():
    x = torch.randn(2, 5, 12)
    assert heads_first(x, 3).shape == (2, 3, 5, 4)
    assert torch.equal(heads_last(heads_first(x, 3)), x)
    assert Mlp(12)(x).shape == x.shape
