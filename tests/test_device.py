import logging

import pytest
import torch

from mova import device as devices
from mova.device import (
    PRECISION_VARIABLE,
    autocast,
    choose_device,
    multiplies_bfloat16,
    resolve_compute,
    warn_of_slow_bfloat16,
)
from mova.errors import ConfigError
from mova.pipeline.load import load_pipeline


def test_without_a_word_a_gpu_computes_where_there_is_one(monkeypatch):
    for is_there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda is_there=is_there: is_there)
        assert choose_device().type == choose_device("auto").type == expected


def test_a_device_that_is_not_there_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(ConfigError, match="got cuda:1 where torch finds 1 GPUs"):
        choose_device("cuda:1")
    with pytest.raises(ConfigError, match="must be one of cpu, cuda, mps, got 'gpu'"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match="got meta; nearest is cpu"):
        choose_device("meta")
    with pytest.raises(ConfigError, match=r"got \[\]"):
        choose_device([])


CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(params=[True, False], ids=["multiplies", "does not"])
def multiplies(request, monkeypatch):
    """A processor that multiplies bfloat16, and one that does not; nothing in the environment."""
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: request.param)
    monkeypatch.delenv(PRECISION_VARIABLE)
    return request.param


@pytest.mark.parametrize("holds", [True, False])
def test_auto_comes_to_bfloat16_on_a_gpu_and_on_a_cpu_that_multiplies_it_where_figures_hold(multiplies, holds):
    assert resolve_compute(CPU, "auto", holds=holds) == ("bfloat16" if multiplies and holds else "float32")
    assert resolve_compute(GPU, "auto", holds=holds) == "bfloat16"
    assert resolve_compute(torch.device("mps"), "auto", holds=holds) == "float32"
    assert not autocast(CPU, "auto")._enabled
    for device in (CPU, GPU):
        for named in ("float32", "bfloat16"):
            assert resolve_compute(device, named, holds=holds) == named


def test_the_environment_says_what_auto_comes_to_on_a_cpu_alone(monkeypatch):
    for named in ("float32", "bfloat16"):
        monkeypatch.setenv(PRECISION_VARIABLE, named)
        assert resolve_compute(CPU, "auto", holds=named == "float32") == named
        assert resolve_compute(GPU, "auto") == "bfloat16"
    monkeypatch.setenv(PRECISION_VARIABLE, "half")
    with pytest.raises(ConfigError, match=r"MOVA_PRECISION must be one of auto, float32, bfloat16; got 'half'"):
        resolve_compute(CPU, "auto")
    assert resolve_compute(CPU, "float32") == "float32"


def test_bfloat16_on_a_processor_without_it_is_said_to_be_slow(multiplies, caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_slow_bfloat16(CPU, "float32", "compute")
        warn_of_slow_bfloat16(GPU, "bfloat16", "compute")
        warn_of_slow_bfloat16(CPU, "bfloat16", "compute")
    said = [record.getMessage().partition(" (")[0] for record in caplog.records]
    assert said == ([] if multiplies else ["compute bfloat16: this processor does not multiply bfloat16"])


@pytest.mark.parametrize(
    ("machine", "has_instructions", "answer"),
    [
        ("x86_64", True, True),
        ("x86_64", False, False),
        ("aarch64", False, True),
    ],
)
def test_a_processor_that_only_stores_bfloat16_does_not_multiply_it(monkeypatch, machine, has_instructions, answer):
    """oneDNN takes bfloat16 with any AVX-512."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_instructions)
    monkeypatch.setattr(devices.platform, "machine", lambda: machine)
    assert multiplies_bfloat16() == answer


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs one of Apple's GPUs")
def test_a_clip_of_an_apple_gpu_is_that_of_the_cpu(checkpoint, short):
    clips = []
    for device in ("cpu", "mps"):
        pipeline = load_pipeline(checkpoint, dtype=torch.float32, device=device)
        pipeline.set_progress_bar_config(disable=True)
        clips.append(torch.as_tensor(pipeline("a dog", **short, seed=0, output_type="pt").frames).cpu())
    torch.testing.assert_close(clips[1], clips[0], rtol=0, atol=0.02)
