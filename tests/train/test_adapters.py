"""Adapters put into a tower by PEFT and taken out again."""

import pytest
import torch

from mova.errors import ConfigError
from mova.models.lora import Lora
from mova.models.lora_merge import MergedLoras
from mova.models.presets import tiny_audio_tower
from mova.models.tower import AudioTower
from mova.train.adapters import add_adapters, take_adapters
from mova.train.config import AdapterConfig

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
    taken = take_adapters(parts, config, torch.bfloat16)["blocks.0.ffn.0"]
    assert taken.down.dtype is torch.bfloat16
    assert taken.down.any()
    kept = taken.down.clone()
    with torch.no_grad():
        for parameter in parts.parameters():
            parameter.zero_()
    assert torch.equal(taken.down, kept)


def test_a_target_that_names_nothing_is_refused():
    with pytest.raises(ConfigError, match="got 'to_q', which names none"):
        add_adapters(tower(), "audio_dit", AdapterConfig(targets=("to_q",)))
