"""Recipes of the joint model and of adapters."""

import pytest

from mova.errors import ConfigError
from mova.train.config import AdaptersConfig, load_recipe


def test_only_components_with_a_rank_get_adapters():
    adapters = AdaptersConfig.model_validate({"video_dit": {"rank": 0}, "audio_dit": {"rank": 4}})
    assert set(adapters.chosen()) == {"video_dit_2", "audio_dit", "dual_tower_bridge"}


def test_the_bridge_learns_twice_as_fast_as_the_towers(recipes):
    assert load_recipe(recipes("tiny_joint")).bridge_lr_scale == 2.0


def test_an_expert_that_is_trained_has_a_turn(recipes):
    with pytest.raises(ConfigError, match="every trainable expert a turn, got none for video_dit"):
        load_recipe(recipes("tiny_joint"), ["expert_cycle=[low_noise]"])
    only_low = ["expert_cycle=[low_noise]", "trainable=[video_dit_2, audio_dit]"]
    assert load_recipe(recipes("tiny_joint"), only_low).turns == ("low_noise",)
    assert load_recipe(recipes("tiny_joint"), ["expert_cycle=by_noise"]).turns == ("high_noise", "low_noise")


@pytest.mark.parametrize("name", ["tiny_joint", "tiny_audio_tower"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (["memory.base_quantization=nf4"], "is for a frozen base .stage lora., got nf4 in stage .*; nearest is none"),
        (
            ["memory.stream_blocks=true", "memory.checkpoint_activations=true"],
            "stream_blocks is for a frozen base .stage lora., got true in stage .*; nearest is parallel.shard",
        ),
    ],
)
def test_what_only_a_frozen_base_can_have_is_refused_where_it_learns(recipes, name, changes, text):
    with pytest.raises(ConfigError, match=text):
        load_recipe(recipes(name), changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (["memory.base_quantization=nf4", "parallel.shard=2"], "memory.base_quantization is for one process, got 2"),
        (
            ["memory.stream_blocks=true", "memory.one_expert=true", "parallel.ring=4"],
            "memory.one_expert and memory.stream_blocks are for one process, got 4; set parallel to 1",
        ),
        (["memory.stream_blocks=true", "run.compile=true"], "set run.compile to false"),
    ],
)
def test_what_does_not_go_together_in_a_lora_recipe_is_explained(recipes, changes, text):
    with pytest.raises(ConfigError, match=text):
        load_recipe(recipes("tiny_lora"), ["memory.checkpoint_activations=true", *changes])


@pytest.mark.parametrize("name", ["tiny_joint", "tiny_audio_tower"])
def test_muon_is_refused_where_weights_are_spread_and_taken_with_copies(recipes, name):
    muon = ["optimizer.name=muon", "parallel.replicate=2"]
    assert load_recipe(recipes(name), muon).optimizer.name == "muon"
    with pytest.raises(
        ConfigError, match=r"got parallel that spreads them over 2 processes; .* parallel.replicate=4 alone"
    ):
        load_recipe(recipes(name), [*muon, "parallel.shard=2"])


def test_a_teacher_is_refused_where_weights_are_spread_and_taken_with_copies(recipes):
    taught = ["teacher=mova-tiny", "optimizer.name=adamw", "parallel.replicate=2"]
    assert load_recipe(recipes("tiny_joint"), taught).teacher == "mova-tiny"
    with pytest.raises(
        ConfigError, match=r"teacher needs a whole model .* got parallel that spreads it over 2 processes"
    ):
        load_recipe(recipes("tiny_joint"), [*taught, "parallel.shard=2"])
