"""With which recipes a run may go on."""

import pytest

from mova.errors import ConfigError
from mova.train.config import load_recipe
from mova.train.loop.resume import changed_keys, check_same_recipe, moved, with_later_keys


def recipe(recipes, *changes):
    return load_recipe(recipes("tiny_joint"), changes).model_dump(mode="json")


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
        "model=/elsewhere/model",
        "encoders=/elsewhere/model",
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


def test_a_base_that_is_quantized_otherwise_is_another_base(recipes):
    then, now = (
        load_recipe(recipes("tiny_lora"), [f"memory.base_quantization={method}"]).model_dump(mode="json")
        for method in ("nf4", "none")
    )
    assert changed_keys(then, now) == [("memory.base_quantization", "nf4", "none")]


def test_keys_that_only_one_of_them_has_are_listed(recipes):
    then = recipe(recipes)
    del then["weighting"]
    then["former"] = 1
    assert changed_keys(then, recipe(recipes)) == [("former", 1, "(absent)"), ("weighting", "(absent)", "none")]


def test_a_key_that_came_later_counts_as_its_default(recipes):
    config = load_recipe(recipes("tiny_joint"))
    then, now = recipe(recipes), recipe(recipes)
    del then["memory"]["stream_blocks"], then["weighting"]
    assert changed_keys(with_later_keys(then, type(config)), now) == []
    changed = recipe(recipes, "weighting=min_snr")
    assert changed_keys(with_later_keys(then, type(config)), changed) == [("weighting", "none", "min_snr")]


def test_a_recipe_that_does_not_fit_any_more_is_compared_as_it_is(recipes):
    then = recipe(recipes) | {"former": 1}
    kind = type(load_recipe(recipes("tiny_joint")))
    assert changed_keys(with_later_keys(then, kind), recipe(recipes)) == [("former", 1, "(absent)")]


@pytest.mark.parametrize("key", ["base", "start.video_dit", "start.audio_dit", "start.video_dit_2"])
def test_weights_may_be_elsewhere_where_they_were_compared_by_content(recipes, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "tiny_lora" if key == "base" else "tiny_joint"

    def with_weights(place):
        return load_recipe(recipes(name), [f"{key}={place}"]).model_dump(mode="json")

    then = with_weights("weights/model")
    assert changed_keys(then, with_weights("/other/model"), weights_known=True) == []
    assert changed_keys(then, with_weights("/other/model")) == [(key, "weights/model", "/other/model")]
    assert changed_keys(then, with_weights(tmp_path / "weights" / "model")) == []
    if key != "base":
        assert changed_keys(then, with_weights("new"), weights_known=True) == [(key, "weights/model", "new")]


def test_what_lies_in_a_folder_moves_with_it(recipes, tmp_path):
    former, folder = tmp_path / "former", tmp_path / "now"
    (folder / "towers").mkdir(parents=True)
    changes = [f"model={former}/model", f"encoders={former}/towers", f"start.video_dit={former}/towers"]
    config = moved(load_recipe(recipes("tiny_joint"), [*changes, "start.audio_dit=mova-tiny"]), former, folder)
    assert config.model == folder / "model"
    assert (config.encoders, config.start.video_dit) == (f"{folder}/towers", f"{folder}/towers")
    assert (config.start.audio_dit, config.start.video_dit_2) == ("mova-tiny", "new")


def test_long_values_are_cut_in_errors(recipes):
    with pytest.raises(ConfigError) as raised:
        check_same_recipe("joint", recipe(recipes), recipe(recipes) | {"former": "x" * 10**6})
    assert len(str(raised.value)) < 2000
