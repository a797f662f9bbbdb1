"""Models that a plan knows by name."""

from pathlib import Path

import pytest

from mova.errors import CheckpointError
from mova.generate.published import find_defaults, find_dims

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


@pytest.mark.parametrize(("model", "size"), [("mova-360p", (640, 352)), ("mova-720p", (1280, 720))])
def test_published_models_recommend_their_size(model, size):
    defaults = find_defaults(model)
    assert (defaults.width, defaults.height, defaults.num_frames) == (*size, 193)


def test_a_directory_works_like_a_name():
    assert find_dims(str(CHECKPOINT)).name == str(CHECKPOINT)
    assert find_defaults(str(CHECKPOINT)).num_inference_steps == 50


@pytest.mark.parametrize("model", ["mova-1080p", "OpenMOSS-Team/MOVA-360p", "no/such/folder", ""])
def test_an_unknown_model_is_refused_and_never_downloaded(model):
    for find in (find_dims, find_defaults):
        with pytest.raises(CheckpointError, match=r"mova-tiny, mova-360p, mova-720p or a model directory|model_index"):
            find(model)
