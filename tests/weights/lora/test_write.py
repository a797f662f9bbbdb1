"""LoRAs written so that they come back as they were."""

import os
import stat

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from mova.errors import ConfigError
from mova.weights.lora.adapters import Lora, LoraLayer, LoraOrigin
from mova.weights.lora.file import read_lora
from mova.weights.lora.write import write_lora


@pytest.fixture
def lora():
    torch.manual_seed(0)
    layers = {
        "blocks.0.self_attn.q": LoraLayer(torch.randn(3, 4), torch.randn(6, 3), 0.1, torch.rand(6, 1)),
        "blocks.0.self_attn.k": LoraLayer(torch.randn(3, 4), torch.randn(6, 3), 5.0, torch.rand(1, 4)),
        "patch_embedding": LoraLayer(torch.randn(2, 4, 1, 2, 2), torch.randn(6, 2, 1, 1, 1), 2**0.5),
    }
    differences = {
        "blocks.0.norm3.weight": torch.randn(6),
        "blocks.0.self_attn.q.bias": torch.randn(6),
        "blocks.0.modulation": torch.randn(1, 6, 6),
        "head.modulation": torch.randn(1, 2, 6),
    }
    return Lora({"audio_dit": layers}, LoraOrigin("/home/me/models/MOVA-360p"), differences={"audio_dit": differences})


@pytest.mark.parametrize("style", ["mova", "comfyui"])
def test_magnitudes_differences_and_odd_alphas_come_back_exactly(tmp_path, lora, style):
    (file,) = write_lora(lora, tmp_path / "x.safetensors", style)
    back = read_lora(file)
    if style == "comfyui":
        back = back.assigned_to(["audio_dit"])
    assert back.strays == ()
    for path, layer in lora.layers["audio_dit"].items():
        found = back.layers["audio_dit"][path]
        assert found.alpha == layer.alpha
        for name in ("down", "up", "magnitude"):
            stored, given = getattr(found, name), getattr(layer, name)
            assert (stored is None and given is None) or torch.equal(stored, given)
    assert {key: value.tolist() for key, value in back.differences["audio_dit"].items()} == {
        key: value.tolist() for key, value in lora.differences["audio_dit"].items()
    }


def test_a_style_without_keys_for_them_is_refused(tmp_path, lora):
    with pytest.raises(ConfigError, match="diffsynth holds plain adapters only, and LoRA has DoRA magnitudes"):
        write_lora(lora, tmp_path / "x.safetensors", "diffsynth")
    assert list(tmp_path.iterdir()) == []


def test_the_base_is_named_without_its_folders(tmp_path, lora):
    (file,) = write_lora(lora, tmp_path / "x.safetensors")
    with safe_open(file, framework="pt") as stored:
        assert stored.metadata()["base_model"] == "MOVA-360p"
    assert b"/home" not in file.read_bytes()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_is_what_the_umask_asks_for(tmp_path, lora, mask, mode):
    before = os.umask(mask)
    try:
        (file,) = write_lora(lora, tmp_path / "x.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_keys_are_those_of_comfyui(tmp_path, lora):
    (file,) = write_lora(lora, tmp_path / "x.safetensors", "comfyui")
    keys = {key.removeprefix("diffusion_model.") for key in load_file(file)}
    assert {"blocks.0.self_attn.q.dora_scale", "blocks.0.norm3.diff", "blocks.0.self_attn.q.diff_b"} <= keys
    assert {"blocks.0.diff_m", "head.diff_m", "patch_embedding.lora_down.weight"} <= keys
