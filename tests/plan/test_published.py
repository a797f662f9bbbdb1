"""Models that a plan knows by name."""

from pathlib import Path

import pytest

from mova.errors import CheckpointError
from mova.plan.published import find_configs, find_defaults, find_dims

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


@pytest.mark.parametrize(("model", "size"), [("mova-360p", (640, 352)), ("mova-720p", (1280, 720))])
def test_published_models_recommend_their_size(model, size):
    defaults = find_defaults(model)
    assert (defaults.width, defaults.height, defaults.num_frames) == (*size, 193)


def test_a_directory_works_like_a_name():
    assert find_dims(str(CHECKPOINT)).name == str(CHECKPOINT)
    assert find_defaults(str(CHECKPOINT)).num_inference_steps == 50


def test_published_hub_ids_are_known_without_a_download():
    assert find_dims("OpenMOSS-Team/MOVA-360p") == find_dims("mova-360p")
    assert find_defaults("OpenMOSS-Team/MOVA-720p") == find_defaults("mova-720p")
    assert find_configs("OpenMOSS-Team/MOVA-360p")["video_dit"]["num_layers"] == 40


def test_configs_of_a_directory_are_those_of_its_components():
    shipped = find_configs("mova-tiny")
    assert {"video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge", "video_vae"} <= set(shipped)
    assert shipped["audio_dit"]["_class_name"] == "WanAudioModel"


@pytest.mark.parametrize("model", ["mova-1080p", "somebody/MOVA-360p", "no/such/folder", ""])
def test_an_unknown_model_is_refused_and_never_downloaded(model):
    for find in (find_dims, find_defaults):
        with pytest.raises(CheckpointError, match=r"mova-tiny, mova-360p, mova-720p or a model directory|model_index"):
            find(model)


@pytest.mark.parametrize("spelt", ["MOVA-360p", "mova_360p", "Mova 360P"])
def test_a_name_is_known_however_it_is_spelt(spelt):
    assert find_dims(spelt) == find_dims("mova-360p")


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(CheckpointError, match="nearest is mova-720p"):
        find_dims("mova-72p")
