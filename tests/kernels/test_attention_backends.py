"""Attention back-ends: what can run, what is refused and how, and that the chosen one computes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import torch
from diffusers.models import attention_dispatch

from mova.cli.app import main
from mova.errors import ConfigError
from mova.kernels.attention_backends import BACKENDS, check_backend, check_ring, find_backend, use_backend
from mova.models.attention import Attention

CPU, GPU = torch.device("cpu"), torch.device("cuda")
RUNS_ON_CPU = ("native", "native_flash", "native_math")
REGISTRY = attention_dispatch._AttentionBackendRegistry


@pytest.fixture
def gpu(monkeypatch):
    """Return a function that makes the GPU one of a compute capability; no package of kernels is installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    def pretend(*capability):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)

    return pretend


def test_names_are_known_without_torch():
    code = "import sys, mova.kernels.attention_backends as a; assert a.BACKENDS; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_line_names_all_of_them(capsys):
    assert main(["generate", "--help"]) == 0
    help_text = "".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Attentionkernels:" + ",".join([*BACKENDS][:-1]) + f"or{[*BACKENDS][-1]}." in help_text


def test_every_name_stands_for_a_backend_of_the_dispatcher():
    assert {backend.dispatched for backend in BACKENDS.values()} <= {
        one.value for one in attention_dispatch.AttentionBackendName
    }
    assert all(find_backend(name).name == name for name in BACKENDS)


@pytest.mark.parametrize(("name", "nearest"), [("sagee", "sage"), ("nativ", "native"), ("flash3", "flash_3")])
def test_an_unknown_name_is_refused_with_the_nearest(name, nearest):
    with pytest.raises(ConfigError, match=rf"one of native, .*sage_fp8; got '{name}'; nearest is {nearest}$"):
        find_backend(name)


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_a_cpu_runs_torchs_own_and_no_others(name):
    if name in RUNS_ON_CPU:
        check_backend(name, CPU, torch.float32, head_dims=(512, 24))
        return
    with pytest.raises(ConfigError, match=rf"attention {name} \(.*\) runs on cuda, got cpu; nearest is native_flash"):
        check_backend(name, CPU, torch.float32)


@pytest.mark.parametrize(
    ("name", "capability", "dtype", "head_dim", "message"),
    [
        (
            "flash",
            (9, 0),
            torch.float32,
            128,
            r"in bfloat16 or float16, got torch.float32.*nearest is native_eff",
        ),
        ("flash", (7, 5), torch.bfloat16, 128, r"capability 8.0 or more, got 7.5; nearest is native_efficient"),
        ("flash_3", (12, 0), torch.bfloat16, 128, r"9.0 or more and below 10.0, got 12.0; nearest is native_flash"),
        ("sage_fp8", (8, 6), torch.bfloat16, 128, r"capability 8.9 or more, got 8.6; nearest is native_flash"),
        ("sage", (9, 0), torch.bfloat16, 256, r"up to 128 channels per head, got 256; nearest is native_flash"),
        ("flash", (9, 0), torch.bfloat16, 512, r"up to 256 channels per head, got 512; nearest is native_efficient"),
        ("flash", (9, 0), torch.bfloat16, 128, r"package flash_attn, which is not installed: pip install 'flash-attn"),
        ("flash_3", (9, 0), torch.float16, 128, r"package flash_attn_interface, which is not installed: build"),
        ("flash_4", (10, 0), torch.bfloat16, 128, r"package kernels, which is not installed: pip install 'kernels"),
        ("sage", (8, 0), torch.bfloat16, 64, r"package sageattention, .*: pip install 'sageattention.*native_flash"),
    ],
)
def test_what_a_gpu_cannot_run_is_refused_with_the_rule_and_the_nearest(
    gpu, name, capability, dtype, head_dim, message
):
    gpu(*capability)
    with pytest.raises(ConfigError, match=message):
        check_backend(name, GPU, dtype, head_dims=(24, head_dim))


@pytest.mark.parametrize("name", ["native", "native_flash", "native_cudnn", "native_efficient", "native_math"])
def test_torchs_own_kernels_need_no_package(gpu, name):
    gpu(9, 0)
    check_backend(name, GPU, torch.bfloat16, head_dims=(128,))


def test_a_package_that_is_there_but_broken_is_refused(gpu, monkeypatch):
    gpu(9, 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_SAGE_ATTN", False)
    with pytest.raises(ConfigError, match=r"cannot use the installed package sageattention \(.*\): pip install"):
        check_backend("sage", GPU, torch.bfloat16)


@pytest.mark.parametrize("name", ["native_flash", "native_math"])
def test_a_ring_joins_parts_with_torchs_kernels_only(name):
    check_backend("native", CPU, torch.float32, ring=2)
    with pytest.raises(ConfigError, match=rf"attention {name} .*around a ring.*got ring=2; use ulysses instead"):
        check_backend(name, CPU, torch.float32, ring=2)
    check_ring(BACKENDS[name].dispatched, 1)
    check_ring(None, 4)
    with pytest.raises(ConfigError, match=f"attention {name} cannot hand keys around a ring.*ring=4"):
        check_ring(BACKENDS[name].dispatched, 4)


@torch.no_grad()
def test_all_that_run_here_give_the_same_velocities(make_dual_tower, make_inputs):
    model = make_dual_tower()
    plain = model(**make_inputs(), frame_rate=24.0)
    for name in RUNS_ON_CPU:
        layers = use_backend(name, [model.video_tower, model.audio_tower, model.bridge])
        # Two in each of 3 + 2 blocks, one in each direction of 2 layers of the bridge.
        assert layers == 14
        made = model(**make_inputs(), frame_rate=24.0)
        torch.testing.assert_close(made.video, plain.video, atol=2e-5, rtol=2e-5)
        torch.testing.assert_close(made.audio, plain.audio, atol=2e-5, rtol=2e-5)


@torch.no_grad()
def test_the_chosen_backend_computes_everywhere_and_nowhere_else(make_dual_tower, make_inputs, monkeypatch):
    model, other = make_dual_tower(), make_dual_tower()
    chosen = attention_dispatch.AttentionBackendName._NATIVE_MATH
    plain, calls = REGISTRY._backends[chosen], []

    def counting(query, key, value, **options):
        calls.append(query.shape)
        return plain(query, key, value, **options)

    monkeypatch.setitem(REGISTRY._backends, chosen, counting)
    before = REGISTRY.get_active_backend()
    use_backend("native_math", [model.video_tower, model.audio_tower, model.bridge])
    model(**make_inputs(), frame_rate=24.0)
    assert len(calls) == sum(isinstance(part, Attention) for part in model.modules())
    other(**make_inputs(), frame_rate=24.0)
    assert len(calls) == 14
    assert REGISTRY.get_active_backend() == before
