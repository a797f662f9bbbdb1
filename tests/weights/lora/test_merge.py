"""Merging into weights and back, bit for bit."""

import copy
import dataclasses

import peft
import pytest
import torch
from torch import nn

from mova.errors import ConfigError
from mova.weights.lora.adapters import Lora, LoraLayer
from mova.weights.lora.file import read_lora
from mova.weights.lora.merge import MergedLoras, MergeWhileReading


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


def dora(columns=False, seed=1):
    """An adapter with magnitudes for both layers."""
    lora = adapter("0", "2", seed=seed)
    layers = {}
    for path, layer in lora.layers["video_dit"].items():
        shape = (1, layer.down.shape[1]) if columns else (layer.up.shape[0], 1)
        layers[path] = dataclasses.replace(layer, magnitude=torch.rand(shape) + 0.5)
    return dataclasses.replace(lora, layers={"video_dit": layers})


def test_dora_is_merged_as_peft_merges_it(tmp_path):
    base = make()["video_dit"]
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=["0", "2"], use_dora=True, alpha_pattern={"0": 2})
    model = peft.get_peft_model(copy.deepcopy(base), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.uniform_(0.3, 1.0)
    model.save_pretrained(tmp_path)
    merged = {"video_dit": base}
    before = state(merged)
    lora = read_lora(tmp_path).assigned_to(["video_dit"])
    adapters = MergedLoras(merged)
    adapters.apply([(lora, 1.0)])
    expected = model.merge_and_unload().state_dict()
    for key, value in base.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-6, atol=1e-6)
    assert not torch.equal(base[0].weight, before["0.weight"])
    adapters.apply([])
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())


@pytest.mark.parametrize("columns", [False, True])
def test_dora_gives_rows_or_columns_their_lengths(columns):
    modules, lora = make(), dora(columns)
    MergedLoras(modules).apply([(lora, 1.0)])
    for path, layer in lora.layers["video_dit"].items():
        weight = modules["video_dit"].get_parameter(f"{path}.weight")
        torch.testing.assert_close(weight.norm(dim=0 if columns else 1), layer.magnitude.flatten())


def test_the_scale_of_dora_goes_from_the_base_to_the_trained_weight_and_several_add_up():
    base = state(make())
    first, second = dora(), dora(columns=True, seed=2)

    def merged(*loras):
        modules = make()
        MergedLoras(modules).apply(loras)
        return modules["video_dit"][0].weight.detach()

    changes = [merged((lora, 1.0)) - base["0.weight"] for lora in (first, second)]
    assert torch.equal(merged((first, 0.0)), base["0.weight"])
    expected = base["0.weight"] + 0.5 * changes[0] - 0.25 * changes[1]
    for loras in ([(first, 0.5), (second, -0.25)], [(second, -0.25), (first, 0.5)]):
        torch.testing.assert_close(merged(*loras), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("columns", [False, True])
def test_rows_of_a_weight_with_dora_are_those_of_the_whole(dtype, columns):
    stored = {key: value.detach() for key, value in make()["video_dit"].state_dict().items()}
    loras = [(dora(columns), 0.7), (adapter("0", seed=3), 0.2)]
    modules = make(dtype)
    MergedLoras(modules).apply(loras)
    merge = MergeWhileReading(loras, "video_dit", dtype)
    for key in ("0.weight", "2.weight"):
        assert torch.equal(merge(key, stored[key]).to(dtype), modules["video_dit"].state_dict()[key])
        for rows in (slice(1, 3), slice(0, 0), slice(3, 4)):
            part = merge(key, stored[key][rows], rows, lambda key=key: stored[key]).to(dtype)
            torch.testing.assert_close(part, modules["video_dit"].state_dict()[key][rows])


def test_whole_differences_are_added_to_weights_biases_and_norms_and_taken_out_bit_for_bit():
    modules = {"video_dit": nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6)).to(torch.bfloat16)}
    base = state(modules)
    differences = {key: torch.randn_like(value, dtype=torch.float32) for key, value in base.items()}
    lora = Lora({}, differences={"video_dit": differences})
    merged = MergedLoras(modules)
    merged.apply([(lora, -0.5)])
    for key, value in modules["video_dit"].state_dict().items():
        assert torch.equal(value, (base[key].float() - 0.5 * differences[key]).to(torch.bfloat16))
    assert merged.num_changed == 4
    merged.apply([])
    assert all(torch.equal(value, base[key]) for key, value in modules["video_dit"].state_dict().items())


def test_an_adapter_of_a_convolution_is_the_product_of_its_matrices():
    torch.manual_seed(0)
    modules = {"video_dit": nn.Sequential(nn.Conv3d(4, 6, (1, 2, 2)))}
    base = modules["video_dit"][0].weight.detach().clone()
    layer = LoraLayer(torch.randn(2, 4, 1, 2, 2), torch.randn(6, 2, 1, 1, 1), 4.0)
    MergedLoras(modules).apply([(Lora({"video_dit": {"0": layer}}), 1.0)])
    down = nn.functional.conv3d(torch.ones(1, 4, 1, 2, 2), layer.down)
    expected = 2.0 * nn.functional.conv3d(down, layer.up)
    found = nn.functional.conv3d(torch.ones(1, 4, 1, 2, 2), modules["video_dit"][0].weight - base)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_stays_in_float32_is_merged_in_float32():
    stored = torch.randn(6)
    lora = Lora({}, differences={"video_dit": {"blocks.0.norm3.weight": torch.full((6,), 1e-4)}})
    merge = MergeWhileReading([(lora, 1.0)], "video_dit", torch.bfloat16, kept=("norm3",))
    assert torch.equal(merge("blocks.0.norm3.weight", stored), stored + 1e-4)


def test_a_row_of_nothing_stays_nothing():
    modules = {"video_dit": nn.Sequential(nn.Linear(4, 6))}
    with torch.no_grad():
        modules["video_dit"][0].weight.zero_()
    layer = LoraLayer(torch.zeros(1, 4), torch.zeros(6, 1), 1.0, torch.ones(6, 1))
    MergedLoras(modules).apply([(Lora({"video_dit": {"0": layer}}), 1.0)])
    assert torch.equal(modules["video_dit"][0].weight, torch.zeros(6, 4))
