"""The table of GPUs."""

import pytest

from mova.errors import ConfigError
from mova.generate.gpus import GPUS, find_gpu


def test_names_are_found_in_any_case():
    assert find_gpu("H100") is GPUS["h100"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"gpu must be one of h200, h100, a100, l40s, rtx-4090, got 'tpu'"):
        find_gpu("tpu")


@pytest.mark.parametrize("gpu", GPUS.values(), ids=lambda gpu: gpu.name)
def test_every_rate_says_where_it_comes_from(gpu):
    lower_bound, expected = gpu.rates
    assert lower_bound == "data sheet (lower bound)"
    assert expected.startswith("published run (" if gpu.achieved_tflops else "assumed (")
    assert gpu.rates[lower_bound] > gpu.rates[expected]
