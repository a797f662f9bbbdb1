"""Adapters put into a tower by PEFT and taken out again."""

import pytest
import torch

from mova.errors import ConfigError
from mova.models.presets import tiny_audio_tower
from mova.models.rope import audio_rotary
from mova.models.tower import AudioTower
from mova.offload.activations import recompute_blocks
from mova.train.build.adapters import add_adapters, take_adapters, without_adapters
from mova.train.config import AdapterConfig
from mova.weights.lora.adapters import Lora
from mova.weights.lora.merge import MergedLoras

INPUTS = (torch.randn(1, 32, 4), torch.tensor([500.0]), torch.randn(1, 3, 192))


def tower():
    torch.manual_seed(0)
    return AudioTower(**(tiny_audio_tower() | {"num_layers": 2})).eval()


def test_new_adapters_change_nothing_and_only_they_are_trained():
    component = tower()
    with torch.no_grad():
        before = component(*INPUTS)
        parts = add_adapters(component, "audio_dit", AdapterConfig(rank=3, alpha=6.0))
        after = component(*INPUTS)
    assert torch.equal(before, after)
    trained = {id(parameter) for parameter in component.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for parameter in parts.parameters()}
    assert len(parts) == 2 * 10


def test_trained_adapters_merged_into_a_fresh_tower_give_the_same_output():
    component = tower()
    config = AdapterConfig(rank=3, alpha=5.0, targets=("self_attn.q", "ffn.2"))
    parts = add_adapters(component, "audio_dit", config)
    with torch.no_grad():
        for parameter in parts.parameters():
            parameter.normal_(std=0.1)
        adapted = component(*INPUTS)
        fresh = tower()
        plain = fresh(*INPUTS)
        layers = take_adapters(parts, config)
        MergedLoras({"audio_dit": fresh}).apply([(Lora({"audio_dit": layers}), 1.0)])
        merged = fresh(*INPUTS)
    assert set(layers) == {f"blocks.{n}.{t}" for n in range(2) for t in ("self_attn.q", "ffn.2")}
    assert {(layer.rank, layer.alpha) for layer in layers.values()} == {(3, 5.0)}
    assert (adapted - plain).abs().max() > 1e-3
    torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=1e-4)


def test_adapters_of_a_half_precision_base_are_float32():
    component = tower().to(torch.bfloat16)
    parts = add_adapters(component, "audio_dit", AdapterConfig(rank=2))
    assert {parameter.dtype for parameter in parts.parameters()} == {torch.float32}
    component(*INPUTS).sum().backward()
    assert all(parameter.grad is not None for name, parameter in parts.named_parameters() if name.endswith("up.weight"))


def test_taken_adapters_are_copies():
    config = AdapterConfig(rank=2)
    parts = add_adapters(tower(), "audio_dit", config)
    taken = take_adapters(parts, config)["blocks.0.ffn.0"]
    assert taken.down.any()
    kept = taken.down.clone()
    with torch.no_grad():
        for parameter in parts.parameters():
            parameter.zero_()
    assert torch.equal(taken.down, kept)


def test_a_target_that_names_nothing_is_refused():
    with pytest.raises(ConfigError, match="got 'to_q', which names none"):
        add_adapters(tower(), "audio_dit", AdapterConfig(targets=("to_q",)))


@pytest.mark.parametrize("method", [None, "nf4", "float8"])
def test_adapters_compute_the_same_without_their_float32_copies_and_compile_whole(monkeypatch, method):
    """Under autocast the copies are rounded to bfloat16 again: leaving them out changes no bit."""
    from mova.kernels import cpu_attention
    from mova.train.build import adapters
    from quantised import quantise

    # Compiled blocks use PyTorch's attention: so do the others here, on processors that multiply bfloat16 too.
    monkeypatch.setattr(cpu_attention, "multiplies_bfloat16", lambda: False)

    def run(compiled=False, recomputed=False):
        torch.manual_seed(0)
        tower = AudioTower(**tiny_audio_tower() | {"num_layers": 1}).requires_grad_(False)
        if method:
            quantise(tower, method)
        parts = add_adapters(tower, "audio_dit", AdapterConfig(rank=2, alpha=2))
        for name, parameter in parts.named_parameters():
            # What begins at zero would hide everything.
            parameter.data.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))))
        if recomputed:
            recompute_blocks([tower])
        if compiled:
            tower.blocks[0].compile(backend="aot_eager", fullgraph=True)
        drawn = torch.Generator().manual_seed(1)
        tokens, text = (torch.randn(1, n, 144, generator=drawn, dtype=torch.bfloat16) for n in (9, 4))
        time = torch.randn(1, 6, 144, generator=drawn)
        tokens.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            output = tower.blocks[0](tokens, text, time, audio_rotary(9, 48, torch.device("cpu")))
        output.float().square().sum().backward()
        return output.detach(), tokens.grad, [p.grad for p in parts.parameters()]

    lean, compiled = run(), run(compiled=True)
    torch.testing.assert_close(compiled[0], lean[0], rtol=0.05, atol=0.05)
    # A block that is computed again is compiled as a whole too, and not given up in silence.
    again = run(compiled=True, recomputed=True)
    torch.testing.assert_close(again[0], compiled[0])
    torch.testing.assert_close(again[1], compiled[1])
    torch.testing.assert_close(again[2], compiled[2])
    monkeypatch.setattr(adapters, "_cast_where_needed", lambda *_: None)
    plain = run()
    assert torch.equal(lean[0], plain[0])
    assert torch.equal(lean[1], plain[1])
    assert all(torch.equal(one, other) for one, other in zip(lean[2], plain[2], strict=True))


def test_the_base_computes_alone_for_the_time_of_a_block():
    component = tower()
    with torch.no_grad():
        before = component(*INPUTS)
        parts = add_adapters(component, "audio_dit", AdapterConfig(rank=3))
        for parameter in parts.parameters():
            parameter.normal_(std=0.1)
        adapted = component(*INPUTS)
        with without_adapters([component]):
            assert torch.equal(component(*INPUTS), before)
        assert torch.equal(component(*INPUTS), adapted)
    assert not torch.equal(adapted, before)
    assert all(parameter.requires_grad for parameter in parts.parameters())
