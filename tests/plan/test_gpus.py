"""The table of GPUs."""

import pytest

from mova.errors import ConfigError
from mova.plan.gpus import GPUS, choose_gpus, find_gpu


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("H100", "h100"),
        ("RTX 4090", "rtx-4090"),
        ("rtx4090", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("a100", "a100"),
        ("A100 80GB", "a100"),
        ("NVIDIA A100-SXM4-40GB", "a100-40gb"),
        ("A6000", "rtx-a6000"),
        ("RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000"),
        ("AMD Instinct MI300X", "mi300x"),
    ],
)
def test_names_are_found_however_they_are_spelt(spelt, name):
    assert find_gpu(spelt) is GPUS[name]


@pytest.mark.parametrize("name", GPUS)
def test_every_gpu_is_found_by_its_own_name(name):
    assert find_gpu(name) is GPUS[name]


@pytest.mark.parametrize(("name", "nearest"), [("rtx 4095", "rtx-4090"), ("h101", "h100"), ("tpu", None), ("", None)])
def test_an_unknown_name_lists_the_known_ones_and_the_nearest(name, nearest):
    with pytest.raises(ConfigError, match=rf"gpu must be one of b200, h200, .*nearest is {nearest or ''}"):
        find_gpu(name)


@pytest.mark.parametrize("name", ["V100", "Tesla T4"])
def test_a_gpu_without_bfloat16_is_refused_by_that_reason(name):
    with pytest.raises(ConfigError, match="computes in bfloat16"):
        find_gpu(name)


def test_a_memory_is_a_gpu_of_unknown_speed_before_those_that_have_as_much():
    first, *others = choose_gpus(None, 24)
    assert (first.memory_gb, first.rates) == (24, {})
    assert [gpu.name for gpu in others] == ["rtx-4090", "rtx-3090", "a10", "l4"]
    (named,) = choose_gpus("rtx-3090", 48)
    assert (named.memory_gb, named.peak_tflops) == (48, 71)


@pytest.mark.parametrize("memory_gb", [0, -3, float("nan"), float("inf"), 1e5])
def test_a_memory_that_no_gpu_has_is_refused(memory_gb):
    with pytest.raises(ConfigError, match=r"gpu_memory must be more than 0 and at most 10000 GB, got .*; nearest is"):
        choose_gpus(None, memory_gb)


@pytest.mark.parametrize("gpu", GPUS.values(), ids=lambda gpu: gpu.name)
def test_every_rate_says_where_it_comes_from(gpu):
    lower_bound, expected = gpu.rates
    assert lower_bound == "data sheet (lower bound)"
    assert expected.startswith("published run (" if gpu.achieved_tflops else "assumed (")
    assert gpu.rates[lower_bound] > gpu.rates[expected]
