"""Components that were made for other models are refused before a clip is begun."""

import json
import shutil
from pathlib import Path

import pytest

from mova.errors import CheckpointError
from mova.names import SHIPPED_MODELS
from mova.pipeline.load import load_pipeline
from mova.weights.agreement import check_agreement
from mova.weights.rewrite import verify_weights

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "model"))


def change(model, part, **values):
    file = model / part / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("folder", [CHECKPOINT, SHIPPED_MODELS / "mova-tiny"])
def test_the_components_of_one_model_belong_together(folder):
    check_agreement(folder)


@pytest.mark.parametrize(
    ("part", "values", "text"),
    [
        (
            "video_dit",
            {"text_dim": 7},
            r"video_dit/config\.json: text_dim must equal d_model of text_encoder",
        ),
        ("audio_dit", {"in_dim": 3}, r"audio_dit/config\.json: in_dim must equal latent_dim of audio_vae"),
        ("video_dit_2", {"patch_size": [1, 1, 1]}, r"video_dit_2/config\.json: patch_size must equal patch_size of"),
        ("dual_tower_bridge", {"audio_layers": 9}, r"audio_layers must equal num_layers of audio_dit"),
        ("video_vae", {"scale_factor_spatial": 16}, r"video_vae/config\.json: scale_factor_spatial must be 8"),
        ("video_vae", {"scale_factor_temporal": 8}, r"scale_factor_temporal must be 4"),
        ("video_dit", {"in_dim": 32}, r"in_dim must be 36"),
    ],
)
def test_values_that_do_not_agree_are_named_with_both_files(model, part, values, text):
    change(model, "video_dit_2", **{key: value for key, value in values.items() if part == "video_dit"})
    change(model, part, **values)
    with pytest.raises(CheckpointError, match=text):
        check_agreement(model)


@pytest.mark.parametrize("use", [load_pipeline, verify_weights])
def test_a_part_of_another_model_is_refused(model, use):
    shutil.rmtree(model / "audio_vae")
    shutil.copytree(SHIPPED_MODELS / "mova-tiny" / "audio_vae", model / "audio_vae")
    with pytest.raises(CheckpointError, match="must be those of one model"):
        use(model)
