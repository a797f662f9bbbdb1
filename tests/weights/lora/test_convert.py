"""LoRA files described and converted."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError, ConfigError
from mova.weights.lora.convert import convert_lora, inspect_lora, is_lora_file

PATH = "blocks.0.self_attn.q"


@pytest.fixture
def wan(tmp_path):
    """A LoRA as it is made for Wan 2.2 in ComfyUI."""
    file = tmp_path / "wan_high_noise.safetensors"
    save_file(
        {
            f"diffusion_model.{PATH}.lora_down.weight": torch.randn(2, 4),
            f"diffusion_model.{PATH}.lora_up.weight": torch.randn(6, 2),
            f"diffusion_model.{PATH}.alpha": torch.tensor(1.0),
        },
        file,
    )
    return file


def test_a_report_says_what_is_adapted(wan):
    report = inspect_lora(wan)
    assert (report.name, report.style, report.base_model, report.strays) == (wan.name, "comfyui", "", ())
    assert report.components[""].ranks == (2,)
    assert report.components[""].alphas == (1.0,)
    assert report.components[""].targets == ("self_attn.q",)


def test_weights_and_folders_are_no_lora_files(tmp_path, wan):
    save_file({"a.weight": torch.ones(1)}, tmp_path / "weights.safetensors")
    assert is_lora_file(wan)
    assert not is_lora_file(tmp_path / "weights.safetensors")
    assert not is_lora_file(tmp_path)


def test_a_wan_lora_becomes_ours_and_theirs_again(tmp_path, wan):
    (ours,) = convert_lora(wan, tmp_path / "ours.safetensors", "mova", ["video_dit"])
    assert set(load_file(ours)) == {f"video_dit.{PATH}.{part}" for part in ("lora_A.weight", "lora_B.weight", "alpha")}
    (theirs,) = convert_lora(ours, tmp_path / "theirs.safetensors", "comfyui")
    first, second = load_file(wan), load_file(theirs)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_what_cannot_be_converted_is_explained(tmp_path, wan):
    with pytest.raises(ConfigError, match="name no component; say which: --component"):
        convert_lora(wan, tmp_path / "x.safetensors", "mova")
    with pytest.raises(ConfigError, match=r"component must be one of video_dit, .*; got video"):
        convert_lora(wan, tmp_path / "x.safetensors", "mova", ["video"])
    with pytest.raises(ConfigError, match=r"must end in \.safetensors, got .*x\.pt"):
        convert_lora(wan, tmp_path / "x.pt", "mova", ["video_dit"])
    with pytest.raises(ConfigError, match="must not exist yet"):
        convert_lora(wan, wan, "comfyui")
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        convert_lora(tmp_path / "none.safetensors", tmp_path / "x.safetensors", "comfyui")
    assert list(tmp_path.iterdir()) == [wan]
