"""Dimensions read from configurations agree with the published key lists and with the recorded checkpoint."""

import json
import math
import shutil
from pathlib import Path

import pytest

from mova.errors import CheckpointError
from mova.models.presets import mova_360p, tiny
from mova.plan.published import find_dims
from mova.weights.dims import dims_from_configs, dims_from_directory

NUMERICS = Path(__file__).parents[1] / "numerics"
CHECKPOINT = NUMERICS / "records" / "pipeline_checkpoint"


@pytest.mark.parametrize(
    ("component", "manifest"),
    [
        ("video_dit", "video_dit_a14b"),
        ("video_dit_2", "video_dit_a14b"),
        ("audio_dit", "audio_dit_1_3b"),
        ("dual_tower_bridge", "bridge_full"),
        ("video_vae", "video_vae_wan21"),
        ("audio_vae", "audio_vae_dac48k"),
    ],
)
def test_parameters_of_the_published_model_are_those_of_its_key_lists(component, manifest):
    shapes = json.loads((NUMERICS / "manifests" / f"{manifest}.json").read_text())
    assert find_dims("mova-360p").parameters[component] == sum(math.prod(shape) for shape in shapes.values())


def test_a_directory_is_counted_from_its_own_files():
    dims = dims_from_directory(CHECKPOINT)
    index = json.loads((NUMERICS / "records" / "pipeline.json").read_text())
    assert dims.num_experts == 2
    assert (dims.codec.spatial_stride, dims.codec.hop_length, dims.codec.sample_rate) == (8, 960, 48_000)
    assert dims.num_prompt_tokens == 512, index.keys()
    # Tensors of every component as they lie on disk; the formulas for towers and bridge must give the same sums.
    assert dims.parameters == {
        "video_dit": 224_284,
        "video_dit_2": 224_284,
        "audio_dit": 77_536,
        "dual_tower_bridge": 62_400,
        "text_encoder": 26_016,
        "video_vae": 668_043,
        "audio_vae": 156_837,
    }


def test_a_model_with_one_expert_is_counted_once():
    configs = mova_360p()
    del configs["video_dit_2"]
    dims = dims_from_configs("one expert", configs, {})
    assert dims.num_experts == 1
    assert "video_dit_2" not in dims.parameters


def test_the_tiny_codec_has_its_own_strides():
    codec = dims_from_configs("tiny", tiny(), {}).codec
    assert (codec.sample_rate, codec.hop_length, codec.audio_latent_rate) == (16_000, 320, 50.0)
    assert codec.size_multiple == (16, 16)


def test_a_missing_component_is_named():
    configs = tiny()
    del configs["audio_dit"]
    with pytest.raises(CheckpointError, match=r"tiny must have a audio_dit, got audio_vae, dual_tower_bridge"):
        dims_from_configs("tiny", configs, {})


def test_a_missing_key_is_named():
    configs = tiny()
    del configs["audio_dit"]["ffn_dim"]
    with pytest.raises(CheckpointError, match="must have the key 'ffn_dim'"):
        dims_from_configs("tiny", configs, {})


def test_a_sparse_bridge_without_weights_is_refused_instead_of_guessed():
    configs = tiny()
    configs["dual_tower_bridge"]["interaction_strategy"] = "progressive"
    with pytest.raises(CheckpointError, match=r"'progressive' bridge are counted in its weights"):
        dims_from_configs("tiny", configs, {})


def test_a_sparse_bridge_is_counted_in_its_weights():
    configs = tiny()
    configs["dual_tower_bridge"]["interaction_strategy"] = "progressive"
    bridge = dims_from_configs("tiny", configs, {}, bridge_layers=(4, 3)).bridge
    assert (bridge.num_audio_to_video, bridge.num_video_to_audio) == (4, 3)


def test_a_folder_without_an_index_is_no_model(tmp_path):
    with pytest.raises(CheckpointError, match=r"must hold model_index\.json"):
        dims_from_directory(tmp_path)


def test_a_damaged_configuration_is_named(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    (folder / "audio_dit" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"audio_dit/config\.json must be JSON"):
        dims_from_directory(folder)
