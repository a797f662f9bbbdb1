"""Which clips are of one prompt."""

from pathlib import Path

import pytest

from mova.errors import ConfigError
from mova.evaluate.arena.entries import match_prompts
from mova.evaluate.clips.item import ClipItem


def items(*names, prompts=None):
    return [ClipItem(name, Path(f"{name}.mp4"), (prompts or {}).get(name, "")) for name in names]


def test_the_same_text_makes_a_pair_whatever_the_names():
    found = match_prompts(
        {
            "a": items("x1", "x2", prompts={"x1": "a dog", "x2": "a cat"}),
            "b": items("7", "8", prompts={"7": "a cat", "8": "a bird"}),
        }
    )
    assert [(one.name, one.text, sorted(one.clips)) for one in found] == [("x2", "a cat", ["a", "b"])]


def test_without_a_text_the_name_decides_and_may_lead_to_one():
    found = match_prompts({"a": items("1", "2"), "b": items("1", "3", prompts={"1": "a dog"})})
    assert [(one.name, one.text, sorted(one.clips)) for one in found] == [("1", "a dog", ["a", "b"])]


def test_several_clips_of_a_prompt_are_compared_first_with_first():
    text = dict.fromkeys(("s1", "s2", "t1", "t2", "t3"), "a dog")
    (found,) = match_prompts({"a": items("s2", "s1", prompts=text), "b": items("t1", "t2", "t3", prompts=text)})
    assert [path.name for path in found.clips["a"]] == ["s1.mp4", "s2.mp4"]
    assert list(found.pairs()) == [(("a", 0), ("b", 0)), (("a", 1), ("b", 1))]


def test_two_texts_under_one_name_are_two_prompts():
    found = match_prompts(
        {
            "a": items("1", "2", prompts={"1": "a dog", "2": "a cat"}),
            "b": items("2", "1", prompts={"2": "a dog", "1": "a cat"}),
        }
    )
    assert len({one.name for one in found}) == 2
    assert {one.text for one in found} == {"a dog", "a cat"}


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ({"a": items("1")}, "2 to 100 models, got 1"),
        ({"a": items("clip_01"), "b": items("clip_02")}, "none in common; a has 'clip_01'; did you mean clip_02"),
        ({"a": items("1"), " b": items("1")}, "name of a model"),
        ({"a": items("1"), "b": [ClipItem("1", None)]}, "none in common"),
    ],
)
def test_what_cannot_be_compared_is_refused(models, text):
    with pytest.raises(ConfigError, match=text):
        match_prompts(models)
