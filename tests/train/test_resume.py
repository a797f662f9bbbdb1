"""With which recipes a run may go on."""

import pytest

from mova.errors import ConfigError
from mova.train.config import load_recipe
from mova.train.resume import changed_keys, check_same_recipe


def recipe(recipes, *changes):
    return load_recipe(recipes / "tiny_joint.yaml", changes).model_dump(mode="json")


@pytest.mark.parametrize(
    "change",
    [
        "run.max_steps=9",
        "run.max_minutes=1",
        "run.micro_batch=2",
        "run.keep_checkpoints=7",
        "parallel.shard=4",
        "data.workers=3",
        "memory.checkpoint_activations=true",
        "memory.base_dtype=bfloat16",
    ],
)
def test_what_says_how_long_and_where_may_change(recipes, change):
    assert changed_keys(recipe(recipes), recipe(recipes, change)) == []
    check_same_recipe("joint", recipe(recipes), recipe(recipes, change))


def test_everything_else_is_listed_with_both_values(recipes):
    now = recipe(recipes, "optimizer.lr=5e-4", "text_dropout=0.3", "expert_cycle=[low_noise,high_noise]", "run.seed=3")
    then = recipe(recipes)
    assert {key for key, _, _ in changed_keys(then, now)} == {
        "optimizer.lr",
        "text_dropout",
        "expert_cycle",
        "run.seed",
    }
    with pytest.raises(ConfigError) as raised:
        check_same_recipe("joint", then, now)
    text = str(raised.value)
    assert "joint was begun with another recipe" in text
    assert "  text_dropout: was 0.15, is 0.3" in text
    assert "--set run.seed=0" in text


def test_a_base_that_is_packed_otherwise_is_another_base(recipes):
    then, now = (
        load_recipe(recipes / "tiny_lora.yaml", [f"memory.base_quantization={method}"]).model_dump(mode="json")
        for method in ("nf4", "none")
    )
    assert changed_keys(then, now) == [("memory.base_quantization", "nf4", "none")]


def test_keys_that_only_one_of_them_has_are_listed(recipes):
    then = recipe(recipes)
    del then["weighting"]
    then["former"] = 1
    assert changed_keys(then, recipe(recipes)) == [("former", 1, "(absent)"), ("weighting", "(absent)", "none")]
