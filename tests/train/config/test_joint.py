"""Recipes of the joint model and of adapters."""

import pytest

from mova.errors import ConfigError
from mova.train.config import AdaptersConfig, load_recipe


def test_only_components_with_a_rank_get_adapters():
    adapters = AdaptersConfig.model_validate({"video_dit": {"rank": 0}, "audio_dit": {"rank": 4}})
    assert set(adapters.chosen()) == {"video_dit_2", "audio_dit", "dual_tower_bridge"}


def test_the_bridge_learns_twice_as_fast_as_the_towers(recipes):
    assert load_recipe(recipes / "tiny_joint.yaml").bridge_lr_scale == 2.0


def test_an_expert_that_is_trained_has_a_turn(recipes):
    with pytest.raises(ConfigError, match="every trainable expert a turn, got none for video_dit"):
        load_recipe(recipes / "tiny_joint.yaml", ["expert_cycle=[low_noise]"])
    only_low = ["expert_cycle=[low_noise]", "trainable=[video_dit_2, audio_dit]"]
    assert load_recipe(recipes / "tiny_joint.yaml", only_low).turns == ("low_noise",)
    assert load_recipe(recipes / "tiny_joint.yaml", ["expert_cycle=by_noise"]).turns == ("high_noise", "low_noise")
