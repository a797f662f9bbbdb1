import json

import pytest

from mova.errors import CheckpointError
from mova.generate import locate
from mova.generate.locate import (
    ModelDefaults,
    find_model,
    has_packed_weights,
    read_defaults,
    read_index,
    write_defaults,
)


def make_model(folder):
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    return folder


def test_a_shipped_name_comes_before_a_directory_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "SHIPPED_MODELS", tmp_path / "assets")
    monkeypatch.chdir(tmp_path)
    shipped, other = make_model(tmp_path / "assets" / "mova-tiny"), make_model(tmp_path / "mova-tiny")
    assert find_model("mova-tiny") == shipped
    assert find_model("./mova-tiny").resolve() == other
    assert find_model(other) == other


def test_unknown_names_say_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "SHIPPED_MODELS", tmp_path)
    make_model(tmp_path / "mova-tiny")
    with pytest.raises(CheckpointError, match=r"a shipped name \(mova-tiny\), a directory .* got mova-small"):
        find_model("mova-small")
    with pytest.raises(CheckpointError, match=r"must hold model_index\.json"):
        find_model(tmp_path)


def test_a_hub_id_is_fetched_and_a_failure_is_explained(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="model example-owner/none is not a directory here and cannot be fetched"):
        find_model("example-owner/none")


def test_defaults_survive_a_round_trip_and_published_models_have_none(tmp_path, checkpoint):
    defaults = ModelDefaults(height=128, width=128, num_frames=49, sampler="unipc", negative_prompt="grey")
    write_defaults(tmp_path, defaults)
    assert read_defaults(tmp_path) == defaults
    assert read_defaults(checkpoint) == ModelDefaults()


def test_damaged_files_are_errors(tmp_path):
    file = tmp_path / "mova_defaults.json"
    file.write_text(json.dumps({"heigth": 3}))
    with pytest.raises(CheckpointError, match="got heigth"):
        read_defaults(tmp_path)
    file.write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        read_defaults(tmp_path)
    file.write_text("[]")
    with pytest.raises(CheckpointError, match="must hold a JSON object, got list"):
        read_defaults(tmp_path)
    with pytest.raises(CheckpointError, match=r"model_index\.json cannot be read"):
        read_index(tmp_path)


def test_packed_weights_are_told_from_the_configs(tmp_path):
    folder = make_model(tmp_path / "model")
    for name, config in (("video_dit", {"dim": 8}), ("audio_dit", {"dim": 4})):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    assert not has_packed_weights(folder)
    (folder / "audio_dit" / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "int8"}}))
    assert has_packed_weights(folder)
