"""Recipes of the joint model and of adapters."""

from mova.train.config import AdaptersConfig, load_recipe


def test_only_components_with_a_rank_get_adapters():
    adapters = AdaptersConfig.model_validate({"video_dit": {"rank": 0}, "audio_dit": {"rank": 4}})
    assert set(adapters.chosen()) == {"video_dit_2", "audio_dit", "dual_tower_bridge"}


def test_the_bridge_learns_twice_as_fast_as_the_towers(recipes):
    assert load_recipe(recipes / "tiny_joint.yaml").bridge_lr_scale == 2.0
