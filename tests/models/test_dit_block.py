"""The block of both towers."""

from __future__ import annotations

import torch

from mova.models.dit_block import DiTBlock
from mova.models.rope import audio_rotary


def _inputs(dim=24, length=7):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, length, dim, generator=generator),
        torch.randn(2, 5, dim, generator=generator),
        torch.randn(2, 6, dim, generator=generator),
        audio_rotary(length, dim // 2, torch.device("cpu")),
    )


def test_the_noise_level_modulates_attention_and_feed_forward_but_not_the_text():
    torch.manual_seed(0)
    block = DiTBlock(24, 2, 48, 1e-6)
    tokens, context, modulation, rotary = _inputs()
    gates_shut = modulation.clone()
    gates_shut[:, [2, 5]] = -block.modulation.detach()[:, [2, 5]]
    output = block(tokens, context, gates_shut, rotary)
    torch.testing.assert_close(output, tokens + block.cross_attn(block.norm3(tokens), context))
    for index in range(6):
        changed = modulation.clone()
        changed[:, index] += 1
        assert not torch.allclose(
            block(tokens, context, changed, rotary), block(tokens, context, modulation, rotary), atol=1e-3
        )


def test_samples_do_not_see_each_other():
    torch.manual_seed(0)
    block = DiTBlock(24, 2, 48, 1e-6)
    tokens, context, modulation, rotary = _inputs()
    before = block(tokens, context, modulation, rotary)
    others = [value.clone() for value in (tokens, context, modulation)]
    for value in others:
        value[1] += 1
    after = block(*others, rotary)
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1], atol=1e-3)
