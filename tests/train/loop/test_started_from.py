"""Weights that a stage begins with are told by what they are."""

import shutil

import pytest
import torch
from safetensors.torch import save_file

from mova.errors import CheckpointError, ConfigError
from mova.train.config import load_recipe
from mova.train.loop.started_from import check_start, note_start, weights_of
from mova.weights.locate import find_model


def write(folder, value, size=100, name="diffusion_pytorch_model"):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"weight": torch.full((size,), float(value))}, folder / f"{name}.safetensors")
    return folder


def test_the_same_weights_elsewhere_are_the_same(tmp_path):
    one = weights_of({"part": write(tmp_path / "one", 1)})
    assert one == weights_of({"part": write(tmp_path / "two", 1, name="model")})
    assert one != weights_of({"part": write(tmp_path / "three", 2)})
    # What a file manager leaves beside them is no weight.
    for name in ("._model", "model.fp16"):
        (tmp_path / "one" / f"{name}.safetensors").write_bytes(b"x")
    assert one == weights_of({"part": tmp_path / "one"})


def test_large_files_are_told_apart_by_blocks(tmp_path):
    size = 5 * 2**18
    one = weights_of({"part": write(tmp_path / "one", 1, size)})
    assert one == weights_of({"part": write(tmp_path / "two", 1, size)})
    assert one != weights_of({"part": write(tmp_path / "three", 2, size)})


def lora(recipes, base):
    return load_recipe(recipes("tiny_lora"), [f"base={base}"])


def test_a_base_may_move_and_may_not_change(tmp_path, recipes):
    shipped = find_model("mova-tiny")
    for name in ("one", "two"):
        shutil.copytree(shipped, tmp_path / name)
    stage = tmp_path / "stage"
    stage.mkdir()
    assert not check_start(stage, "lora", lora(recipes, tmp_path / "one"))
    note_start(stage, lora(recipes, tmp_path / "one"))
    shutil.rmtree(tmp_path / "one")
    assert check_start(stage, "lora", lora(recipes, tmp_path / "two"))
    assert check_start(stage, "lora", lora(recipes, "mova-tiny"))
    weights = next((tmp_path / "two" / "audio_dit").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(ConfigError, match="lora was begun with other weights than those that base names now"):
        check_start(stage, "lora", lora(recipes, tmp_path / "two"))
    (stage / "started_from.json").write_text('{"base": 3}')
    with pytest.raises(CheckpointError, match="base must be text"):
        check_start(stage, "lora", lora(recipes, tmp_path / "two"))
