"""The last stage: a model directory that generates."""

import shutil

import pytest
import torch
from safetensors import safe_open

from mova import MovaPipeline
from mova.errors import CheckpointError
from mova.names import SHIPPED_MODELS
from mova.train.publish import publish
from mova.weights.locate import read_defaults


def dtypes(component):
    found = {}
    for file in component.glob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            found |= {key: stored.get_slice(key).get_dtype() for key in stored.keys()}  # noqa: SIM118
    return found


def test_the_published_model_loads_and_generates_as_it_recommends(ladder_run):
    folder, _ = ladder_run
    pipeline = MovaPipeline.from_pretrained(folder / "mova-tiny")
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline("a red ball falls on wood", seed=0, output_type="np")
    assert result.frames[0].shape == (17, 32, 32, 3)
    assert result.audio.shape[-1] == 17 * 16_000 // 24
    assert result.sample_rate == 16_000
    assert torch.as_tensor(result.audio).isfinite().all()


def test_weights_are_stored_as_small_as_in_the_shipped_model(ladder_run):
    folder, _ = ladder_run
    for name in (
        "video_dit",
        "video_dit_2",
        "audio_dit",
        "dual_tower_bridge",
        "video_vae",
        "audio_vae",
    ):
        assert dtypes(folder / "mova-tiny" / name) == dtypes(SHIPPED_MODELS / "mova-tiny" / name), name
    # The shipped one still has a third of its text encoder in float32.
    assert set(dtypes(folder / "mova-tiny" / "text_encoder").values()) == {"BF16"}
    assert set(dtypes(folder / "mova-tiny" / "video_vae").values()) == {"BF16"}
    assert set(dtypes(folder / "mova-tiny" / "audio_vae").values()) == {"F16"}


def test_the_settings_of_the_recipe_are_in_the_directory(ladder_run, recipes, make_config, tmp_path):
    folder, _ = ladder_run
    config = make_config(
        "tiny_publish", folder / "model", "shift=2.5", "boundary_ratio=0.8", f"destination={tmp_path}/m"
    )
    publish(config)
    assert read_defaults(tmp_path / "m") == config.defaults
    pipeline = MovaPipeline.from_pretrained(tmp_path / "m")
    assert pipeline.scheduler.config.shift == 2.5
    assert pipeline.config.boundary_ratio == 0.8


def test_a_missing_component_is_named_and_nothing_is_written(make_config, tmp_path):
    config = make_config("tiny_publish", tmp_path / "model", f"destination={tmp_path}/m")
    with pytest.raises(CheckpointError, match="video_vae"):
        publish(config)
    assert not (tmp_path / "m").exists()


def test_what_a_run_did_not_make_comes_from_its_base(make_config, ladder_run, tmp_path):
    """As after a fine-tuning: the run's folder holds the trained parts and no encoders."""
    folder, _ = ladder_run
    for name in ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge"):
        shutil.copytree(folder / "model" / name, tmp_path / "model" / name)
    changes = ("base=mova-tiny", f"destination={tmp_path}/tuned")
    publish(make_config("tiny_publish", tmp_path / "model", *changes))
    mine, base = tmp_path / "tuned", SHIPPED_MODELS / "mova-tiny"
    for name in ("video_vae", "text_encoder"):
        assert (mine / name / "config.json").is_file()
        assert dtypes(mine / name).keys() == dtypes(base / name).keys()
    assert (mine / "tokenizer" / "tokenizer.json").read_bytes() == (base / "tokenizer" / "tokenizer.json").read_bytes()
    assert MovaPipeline.from_pretrained(mine).video_dit is not None
    with pytest.raises(CheckpointError, match="video_vae"):
        publish(make_config("tiny_publish", tmp_path / "model", f"destination={tmp_path}/other"))
