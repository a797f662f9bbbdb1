import json
from dataclasses import replace

import pytest

from mova.errors import CheckpointError
from mova.weights import locate
from mova.weights.locate import (
    ModelDefaults,
    bears_bfloat16,
    find_model,
    has_quantized_weights,
    note_unknown_size,
    read_defaults,
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
    with pytest.raises(CheckpointError, match=r"mova_defaults\.json must be JSON"):
        read_defaults(tmp_path)
    file.write_text("[]")
    with pytest.raises(CheckpointError, match=r"must be a JSON object, got \[\]"):
        read_defaults(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", "tall"),
        ("height", -16),
        ("num_frames", 1e30),
        ("num_inference_steps", True),
        ("frame_rate", 0),
        ("guidance_scale", [1]),
        ("video_shift", {}),
        ("sampler", 3),
        ("negative_prompt", None),
    ],
)
def test_a_recommendation_of_another_kind_is_refused_with_file_and_key(tmp_path, key, value):
    (tmp_path / "mova_defaults.json").write_text(json.dumps({key: value}))
    with pytest.raises(CheckpointError, match=rf"mova_defaults\.json: {key} must be "):
        read_defaults(tmp_path)


@pytest.mark.parametrize(
    ("place", "name", "size"),
    [
        ("MOVA-720p", None, (720, 1280)),
        ("MOVA-360p", None, (352, 640)),
        ("mova_720p-bf16", None, (720, 1280)),
        ("models--OpenMOSS-Team--MOVA-720p/snapshots/0123abc", None, (720, 1280)),
        ("somewhere", "OpenMOSS-Team/MOVA-720p", (720, 1280)),
        ("somewhere", "models/MOVA-720p/", (720, 1280)),
        ("somewhere", None, (352, 640)),
        ("mova-7200p", None, (352, 640)),
        ("MOVA-360p-from-MOVA-720p", None, (352, 640)),
    ],
)
def test_the_published_model_is_told_by_any_of_its_names(tmp_path, place, name, size):
    defaults = read_defaults(make_model(tmp_path / place), name)
    assert (defaults.height, defaults.width) == size


def test_the_published_model_is_told_by_its_card_or_a_link_where_the_folder_was_renamed(tmp_path):
    folder = make_model(tmp_path / "renamed")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# MOVA-720p\n\nBeside it there is MOVA-360p.\n")
    assert read_defaults(folder).height == 720
    (tmp_path / "short").symlink_to(make_model(tmp_path / "MOVA-720p"))
    assert read_defaults(tmp_path / "short").height == 720
    write_defaults(folder, ModelDefaults(height=128))
    assert read_defaults(folder, "OpenMOSS-Team/MOVA-720p").height == 128, "the file decides"


def test_a_model_of_the_published_size_without_a_name_is_said_in_the_log(tmp_path, caplog):
    for name, video_dim, expected in (("a", 5120, 1), ("b", 192, 0), ("MOVA-720p", 5120, 0)):
        caplog.clear()
        note_unknown_size(make_model(tmp_path / name), None, video_dim)
        assert caplog.text.count("whether its weights are those of MOVA-360p or of MOVA-720p") == expected


def test_quantized_weights_are_told_from_the_configs(tmp_path):
    folder = make_model(tmp_path / "model")
    index = {"video_dit": ["library", "WanModel"], "audio_dit": ["library", "WanAudioModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    for name, config in (("video_dit", {"dim": 8}), ("audio_dit", {"dim": 4})):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    assert not has_quantized_weights(folder)
    (folder / "audio_dit" / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "int8"}}))
    assert has_quantized_weights(folder)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MOVA-360p", "OpenMOSS-Team/MOVA-360p"),
        ("mova_360P", "OpenMOSS-Team/MOVA-360p"),
        ("./models/MOVA 720p/", "OpenMOSS-Team/MOVA-720p"),
        ("mova_tiny", "mova-tiny"),
        ("Mova-Tiny", "mova-tiny"),
        ("mova-tny", "mova-tiny"),
    ],
)
def test_a_name_that_is_spelt_otherwise_leads_to_the_nearest(name, nearest):
    with pytest.raises(CheckpointError, match=f"; nearest is {nearest}$"):
        find_model(name)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "", "/", "stable-video"])
def test_names_that_are_nothing_like_a_model_are_refused_in_short(name):
    with pytest.raises(CheckpointError) as caught:
        find_model(name)
    assert len(str(caught.value)) < 600
    assert "nearest" not in str(caught.value)


def test_a_model_says_whether_it_bears_bfloat16_and_the_published_ones_do(tmp_path):
    published, measured = ModelDefaults(), replace(ModelDefaults(), bfloat16_on_cpu=True)
    assert bears_bfloat16(tmp_path, published, is_quantized=False)
    assert not bears_bfloat16(tmp_path, published, is_quantized=True)
    assert not bears_bfloat16(tmp_path, replace(published, bfloat16_on_cpu=False), is_quantized=False)
    # With a file that says nothing of it nobody has measured.
    (tmp_path / "mova_defaults.json").write_text("{}")
    assert not bears_bfloat16(tmp_path, read_defaults(tmp_path), is_quantized=False)
    assert bears_bfloat16(tmp_path, measured, is_quantized=False)
    tiny = find_model("mova-tiny")
    assert bears_bfloat16(tiny, read_defaults(tiny), is_quantized=False)
