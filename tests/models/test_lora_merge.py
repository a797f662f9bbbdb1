"""Merging into weights and back, bit for bit."""

import pytest
import torch
from torch import nn

from mova.errors import ConfigError
from mova.models.lora import Lora, LoraLayer
from mova.models.lora_merge import MergedLoras, MergeWhileReading


def make(dtype=torch.float32):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4)).to(dtype)
    return {"video_dit": module}


def adapter(*paths, seed=1, rank=2, alpha=3.0):
    torch.manual_seed(seed)
    sizes = {"0": (6, 4), "2": (4, 6)}
    layers = {
        path: LoraLayer(torch.randn(rank, sizes[path][1]), torch.randn(sizes[path][0], rank), alpha) for path in paths
    }
    return Lora({"video_dit": layers})


def state(modules):
    return {key: value.clone() for key, value in modules["video_dit"].state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_merged_weights_are_the_sum_rounded_once_and_unmerged_ones_are_the_base_bit_for_bit(dtype):
    modules = make(dtype)
    base = state(modules)
    merged = MergedLoras(modules)
    first, second = adapter("0", "2"), adapter("0", seed=2)
    merged.apply([(first, 0.7), (second, -0.3)])
    expected = base["0.weight"].float().clone()
    expected += 0.7 * first.layers["video_dit"]["0"].update()
    expected += -0.3 * second.layers["video_dit"]["0"].update()
    assert torch.equal(modules["video_dit"][0].weight, expected.to(dtype))
    assert not torch.equal(modules["video_dit"][2].weight, base["2.weight"])
    assert modules["video_dit"][0].weight.dtype is dtype
    merged.apply([])
    assert merged.num_changed == 0
    assert all(torch.equal(value, base[key]) for key, value in modules["video_dit"].state_dict().items())


def test_a_new_set_starts_from_the_base_and_not_from_the_set_before():
    modules, other = make(), make()
    merged = MergedLoras(modules)
    for _ in range(20):
        merged.apply([(adapter("0", "2"), 1.3)])
    merged.apply([(adapter("2", seed=2), 0.5)])
    MergedLoras(other).apply([(adapter("2", seed=2), 0.5)])
    assert all(torch.equal(one, two) for one, two in zip(state(modules).values(), state(other).values(), strict=True))
    assert merged.num_changed == 1


def test_the_parameter_stays_the_same_object():
    modules = make()
    before = modules["video_dit"][0].weight
    MergedLoras(modules).apply([(adapter("0"), 1.0)])
    assert modules["video_dit"][0].weight is before
    assert before.requires_grad


def test_a_failure_in_the_middle_leaves_the_base():
    modules = make()
    base = state(modules)
    merged = MergedLoras(modules)
    broken = adapter("0", "2")
    broken.layers["video_dit"]["2"] = LoraLayer(torch.ones(2, 5), torch.ones(4, 2), 1.0)  # 5 is not 6
    with pytest.raises(RuntimeError):
        merged.apply([(broken, 1.0)])
    assert all(torch.equal(value, base[key]) for key, value in modules["video_dit"].state_dict().items())


def test_weights_that_are_not_there_are_refused_before_anything_changes():
    with torch.device("meta"):
        modules = {"video_dit": nn.Sequential(nn.Linear(4, 6))}
    with pytest.raises(ConfigError, match=r"on meta at video_dit\.0; load them before"):
        MergedLoras(modules).apply([(adapter("0"), 1.0)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_merged_while_reading_is_what_is_merged_later(dtype):
    """Whole tensors and rows of them, from float32 files, for weights of either dtype."""
    stored = {key: value.detach() for key, value in make()["video_dit"].state_dict().items()}
    originals = {key: value.clone() for key, value in stored.items()}
    loras = [(adapter("0", "2"), 0.7), (adapter("0", seed=2), -0.3)]
    modules = make(dtype)
    MergedLoras(modules).apply(loras)
    merge = MergeWhileReading(loras, "video_dit", dtype)
    for key, tensor in stored.items():
        assert torch.equal(merge(key, tensor).to(dtype), modules["video_dit"].state_dict()[key]), key
        rows = merge(key, tensor[1:3], slice(1, 3)).to(dtype)
        torch.testing.assert_close(rows, modules["video_dit"].state_dict()[key][1:3])
    assert merge("0.bias", stored["0.bias"]) is stored["0.bias"]
    assert all(torch.equal(stored[key], originals[key]) for key in stored)
    other = MergeWhileReading(loras, "audio_dit", dtype)
    assert other("0.weight", stored["0.weight"]) is stored["0.weight"]
