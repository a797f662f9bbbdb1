"""Recipes of a distillation to few steps."""

import pytest

from mova.errors import ConfigError
from mova.train.config import load_recipe


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (["steps=4", "teacher_steps=18"], r"multiple of steps \(4\), .*got 18; nearest are 16 and 20"),
        (["steps=4", "teacher_steps=4"], r"twice or more, got 4; nearest is 8"),
        (["steps=4", "teacher_steps=3"], "got 3; nearest is 8"),
        (["expert_cycle=[low_noise]"], "expert_cycle must be left out"),
        (["bridge_dropout=0.1", "weighting=min_snr"], "bridge_dropout, weighting must be left out"),
        (["video_weight=0", "audio_weight=0"], "must be above 0, got 0 for both"),
        (["target=student"], "target: Input should be 'teacher' or 'consistency', got 'student'"),
        (["stesp=4"], "stesp: unknown key; did you mean steps"),
        (["memory.one_expert=true", "parallel.shard=2"], "memory.one_expert is for one process, got 2"),
    ],
)
def test_what_cannot_be_distilled_is_explained(recipes, changes, text):
    with pytest.raises(ConfigError, match=text):
        load_recipe(recipes("tiny_distill"), changes)


def test_the_students_steps_are_asked_with_their_text_by_default(recipes):
    assert load_recipe(recipes("tiny_distill")).text_dropout == 0.0


def test_the_shipped_recipes_adapt_every_component_that_acts_at_sampling(recipes):
    for name in ("tiny_distill", "distill", "distill_4"):
        recipe = load_recipe(recipes(name))
        assert set(recipe.adapters.chosen()) == {"video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge"}
    eight, four = load_recipe(recipes("distill")), load_recipe(recipes("distill_4"))
    assert (eight.steps, four.steps) == (8, 4)
    assert eight.teacher_steps == four.teacher_steps
