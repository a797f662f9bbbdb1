"""From a GGUF file to a component."""

import json

import pytest
import torch

from gguf_writer import write_gguf
from mova.cli.app import main
from mova.errors import CheckpointError, ConfigError
from mova.weights.components import load_component, read_config
from mova.weights.gguf.convert import convert_gguf, is_gguf_file
from mova.weights.locate import find_model
from mova.weights.quantize.layers import quantizable_layers, quantized_method
from mova.weights.quantize.report import read_reports
from mova.weights.rewrite import convert_weights, verify_weights

LIKE = find_model("mova-tiny") / "video_dit"


@pytest.fixture(scope="module")
def tower():
    return load_component(LIKE, dtype=torch.float32)


@pytest.fixture(scope="module")
def file(tower, tmp_path_factory):
    """The tiny video tower as other tools write one: large weights in 8 bits, the rest in float32, under a prefix."""
    quantized = {f"model.diffusion_model.{path}.weight": "Q8_0" for path in quantizable_layers(tower)}
    tensors = {f"model.diffusion_model.{key}": value for key, value in tower.state_dict().items()}
    return write_gguf(tmp_path_factory.mktemp("gguf") / "wan.gguf", tensors, quantized)


def test_a_tower_becomes_a_component_that_is_nearly_the_original(file, tower, tmp_path):
    target = convert_gguf(file, tmp_path / "video_dit", like=LIKE, max_shard_size="2MB")
    assert verify_weights(target) == {"video_dit": 177}
    assert len(list(target.glob("*.safetensors"))) > 3
    assert read_config(target)["_class_name"] == "WanModel"
    found, original = load_component(target), tower.state_dict()
    large = {f"{path}.weight" for path in quantizable_layers(tower)}
    for key, tensor in found.state_dict().items():
        error = float((tensor.float() - original[key]).norm() / original[key].norm())
        assert (0 < error < 0.01) if key in large else error == 0, key
        assert tensor.dtype == (torch.bfloat16 if key in large else torch.float32)


def test_it_may_be_quantized_on_the_way(file, tmp_path, capsys):
    target = tmp_path / "video_dit"
    arguments = ["weights", "convert", str(file), str(target), "--like", str(LIKE), "--quantize", "float8", "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)["quantization"]["video_dit"]
    assert len(report["errors"]) == 60
    assert report["bytes_before"] == file.stat().st_size
    assert quantized_method(load_component(target)) == "float8"
    assert list(read_reports(target)) == ["video_dit"]


def test_the_default_is_the_published_tower_and_what_does_not_fit_is_counted(file, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"names and shapes 5b013604280dd715f8457c6ed6d6a626, .* missing, 0 extra"
    ):
        convert_gguf(file, tmp_path / "new")
    with pytest.raises(CheckpointError, match=r"first offending key 'blocks\.0\.ffn\.0\.weight' is absent and must be"):
        convert_gguf(without(file, tmp_path, "blocks.0.ffn.0.weight"), tmp_path / "new", like=LIKE)
    assert not (tmp_path / "new").exists()


def without(file, folder, key):
    """A file in which a tensor has another name of the same length."""
    other = folder / "other.gguf"
    other.write_bytes(file.read_bytes().replace(key.encode(), key[:-1].encode() + b"x"))
    return other


def test_wrong_targets_and_options_are_refused(file, tmp_path, capsys):
    with pytest.raises(ConfigError, match="the target must not exist yet"):
        convert_gguf(file, tmp_path, like=LIKE)
    with pytest.raises(ConfigError, match="nearest is float8"):
        convert_gguf(file, tmp_path / "new", like=LIKE, quantize="float8_linear")
    quantized = convert_weights(LIKE, tmp_path / "quantised", quantize="float8")
    with pytest.raises(ConfigError, match="like must be a component with plain weights"):
        convert_gguf(file, tmp_path / "new", like=quantized)
    assert main(["weights", "convert", str(LIKE), str(tmp_path / "new"), "--like", str(LIKE)]) == 2
    assert "--like is for a GGUF file" in capsys.readouterr().err
    assert main(["weights", "convert", str(file), str(tmp_path / "new"), "--fold-weight-norm"]) == 2
    assert "--fold-weight-norm is for a model directory, not for a GGUF file" in capsys.readouterr().err
    assert is_gguf_file(file)
    assert not is_gguf_file(LIKE)
