"""LoRAs named as diffusers' users name them; the hub's cache stands in for the hub."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mova.errors import CheckpointError, ConfigError
from mova.weights.lora.file import read_lora
from mova.weights.lora.hub import Hub, locate_lora

KEY = "base_model.model.blocks.0.self_attn.q"


def store(folder, name, alpha=None):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"{KEY}.lora_A.weight": torch.ones(2, 4), f"{KEY}.lora_B.weight": torch.ones(4, 2)}
    save_file(tensors, folder / name)
    if alpha is not None:
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": alpha}))


@pytest.fixture
def cache(tmp_path):
    """Return a hub cache with one repository: its PEFT folder, another file, and a sub-folder."""
    repository = tmp_path / "models--owner--style"
    snapshot = repository / "snapshots" / ("0" * 40)
    store(snapshot, "adapter_model.safetensors", alpha=8)
    store(snapshot, "other.safetensors")
    store(snapshot / "high", "adapter_model.safetensors", alpha=6)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return Hub(cache_dir=tmp_path, local_files_only=True)


@pytest.mark.parametrize(
    ("weight_name", "subfolder", "alpha"),
    [
        (None, None, 8),
        ("adapter_model.safetensors", None, 8),
        ("other.safetensors", None, 2),
        (None, "high", 6),
        ("high/adapter_model.safetensors", None, 6),
    ],
)
def test_a_repository_gives_the_file_and_its_settings(cache, weight_name, subfolder, alpha):
    lora = read_lora(*locate_lora("owner/style", weight_name, subfolder, cache))
    assert lora.layers[""]["blocks.0.self_attn.q"].alpha == alpha


def test_a_lora_that_comes_with_the_package_is_found_by_its_name():
    file, weight_name = locate_lora("mova-tiny_conditions")
    assert (file.name, weight_name) == ("mova-tiny_conditions.safetensors", None)
    assert set(read_lora(file).components) == {"video_dit", "video_dit_2"}


def test_a_folder_wins_over_a_repository_and_has_sub_folders(tmp_path, monkeypatch):
    store(tmp_path / "owner" / "style", "a.safetensors")
    store(tmp_path / "owner" / "style" / "high", "b.safetensors")
    monkeypatch.chdir(tmp_path)
    assert locate_lora("owner/style")[0].is_dir()
    assert read_lora(*locate_lora("owner/style", subfolder="high")).name == "high"
    assert read_lora(*locate_lora("owner/style", "a.safetensors")).name == "a.safetensors"


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("owner/absent",), CheckpointError, "owner/absent must be a repository with adapter_model.safetensors or"),
        (("owner/style", "no.safetensors"), CheckpointError, "must be a repository with no.safetensors"),
        (
            ("owner/style.safetensors",),
            CheckpointError,
            "a whole safetensors file, a folder with one, mova-tiny_conditions, mova-tiny_wordings, or a hub id",
        ),
        (("no such file",), CheckpointError, "which is not there"),
        (("owner/style", "../x"), ConfigError, "weight_name must be a file inside the folder"),
        (("owner/style", None, "/etc"), ConfigError, "must be a file inside the folder"),
        ((3,), ConfigError, "a LoRA is given as a file, a folder or a hub id OWNER/NAME, got int"),
    ],
)
def test_what_is_not_there_is_explained(cache, arguments, kind, text):
    name, weight_name, subfolder = (*arguments, None, None)[:3]
    with pytest.raises(kind, match=text):
        locate_lora(name, weight_name, subfolder, cache)
