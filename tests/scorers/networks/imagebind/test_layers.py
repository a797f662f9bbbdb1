"""Layers of ImageBind's towers."""

import pytest
import torch

import fill_weights
from mova.scorers.networks.imagebind.layers import Block, FirstToken, Scale, UnitLength


def plain_block(block, x, heads):
    """Return what the definition says: attention with one more key and value behind those of the tokens."""
    own = block.norm_1(x)
    q, k, v = (own @ block.attn.in_proj_weight.T + block.attn.in_proj_bias).chunk(3, -1)
    if block.attn.bias_k is not None:
        k, v = (
            torch.cat([part, extra.expand(len(x), 1, -1)], dim=1)
            for part, extra in ((k, block.attn.bias_k), (v, block.attn.bias_v))
        )
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    x = x + block.attn.out_proj((weights @ v).transpose(1, 2).flatten(2))
    return x + block.mlp.fc2(torch.nn.functional.gelu(block.mlp.fc1(block.norm_2(x))))


@pytest.mark.parametrize("has_extra_row", [False, True])
def test_a_block_equals_a_plain_computation(has_extra_row):
    block = Block(16, 2, has_extra_row=has_extra_row).eval()
    fill_weights.fill(block.state_dict())
    x = torch.randn(2, 5, 16)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), plain_block(block, x, 2), atol=1e-5, rtol=1e-5)


def test_what_stands_behind_the_blocks_takes_the_class_token_and_sets_lengths():
    x = torch.randn(2, 3, 4)
    assert torch.equal(FirstToken()(x), x[:, 0])
    assert UnitLength()(x).norm(dim=-1).numpy() == pytest.approx(1.0, abs=1e-6)
    scale = Scale()
    with torch.inference_mode():
        assert torch.equal(scale(x), x)
        scale.log_logit_scale.fill_(9.0)
        assert torch.equal(scale(x), 100.0 * x)
