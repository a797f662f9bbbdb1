"""Configs are checked by type and size before anything is built; the published ones are far inside."""

import json

import pytest

from mova.errors import CheckpointError
from mova.files.json_file import Fields
from mova.models.presets import mova_360p, tiny
from mova.weights.components import build_empty, verify_component
from mova.weights.config_limits import CONFIG_RULES, checked_config

CLASSES = {
    "video_dit": "WanModel",
    "audio_dit": "WanAudioModel",
    "dual_tower_bridge": "DualTowerConditionalBridge",
    "audio_vae": "DAC",
    "video_vae": "AutoencoderKLWan",
    "text_encoder": "UMT5EncoderModel",
}


def checked(part, **changes):
    return checked_config(CLASSES[part], Fields({**tiny()[part], **changes}, "config.json", CheckpointError))


@pytest.mark.parametrize("part", CLASSES)
def test_the_published_sizes_are_eight_times_inside(part):
    for key, value in mova_360p()[part].items():
        rule = CONFIG_RULES[CLASSES[part]][key]
        if rule.kind == "integer":
            numbers = value if isinstance(value, list) else [value]
            assert all(rule.least <= number and 8 * number <= rule.most for number in numbers), key


@pytest.mark.parametrize("part", CLASSES)
def test_what_is_right_stays_as_it_is(part):
    assert checked(part) == tiny()[part]


@pytest.mark.parametrize(
    ("part", "key", "value", "rule"),
    [
        ("video_dit", "num_layers", 10**9, "from 1 to 512, got 1000000000; nearest is 512"),
        ("video_dit", "num_layers", 0, "nearest is 1"),
        ("video_dit", "dim", 10**12, "nearest is 65536"),
        ("video_dit", "num_heads", "4", "whole number, got '4'"),
        ("video_dit", "patch_size", [1, 2], "must have 3 numbers, got 2"),
        ("video_dit", "patch_size", [1, 2, 10**9], r"\[2\] must be from 1 to 64"),
        ("video_dit", "patch_size", 7, "must be a list"),
        ("video_dit", "eps", None, "finite number"),
        ("video_dit", "has_image_input", "yes", "true or false"),
        ("audio_vae", "encoder_rates", [2] * 10_000, "must have 1 to 10 numbers, got 10000"),
        ("audio_vae", "sample_rate", 10**9, "nearest is 1e"),
        ("video_vae", "latents_mean", [0.0], "must have z_dim = 16 numbers, got 1"),
        ("video_vae", "latents_std", [0.0] * 16, "must be from 1e-06"),
        ("text_encoder", "vocab_size", float("inf"), "whole number, got inf"),
        ("dual_tower_bridge", "audio_fps", 0, "from 0.01"),
        ("dual_tower_bridge", "interaction_strategy", {"a": 1}, "must be text"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_rule(part, key, value, rule):
    with pytest.raises(CheckpointError, match=rf"config\.json: {key}.*{rule}"):
        checked(part, **{key: value})


def test_a_text_encoder_cannot_choose_code():
    config = {**tiny()["text_encoder"], "attn_implementation": "someone/kernel", "auto_map": {"AutoModel": "x.Y"}}
    assert "attn_implementation" not in checked("text_encoder", attn_implementation="someone/kernel")
    assert build_empty("UMT5EncoderModel", config).config._attn_implementation in (None, "eager", "sdpa")


def test_a_config_without_bounds_is_refused_before_anything_is_built(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "WanModel", **tiny()["video_dit"], "dim": 10**30}))
    with pytest.raises(CheckpointError, match=r"config\.json cannot be used: .*dim must be from 1 to 65536"):
        verify_component(tmp_path)
