"""Which clip was made from which prompt."""

import json

import pytest

from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.clips.prompts import Prompt, give_prompts, read_prompts

NESTED = {"set1": {"1": {"prompt": "one"}, "11": {"prompt": "eleven"}}, "set2": {"1": "other one"}}


def save(path, document):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_three_forms_of_files_are_read(tmp_path):
    assert read_prompts(save(tmp_path / "a.json", {"x": "one", "y": {"prompt": "two"}})) == (
        Prompt("x", "one"),
        Prompt("y", "two"),
    )
    assert read_prompts(save(tmp_path / "b.json", NESTED)) == (
        Prompt("1", "one", "set1"),
        Prompt("11", "eleven", "set1"),
        Prompt("1", "other one", "set2"),
    )
    lines = '{"id": "x", "prompt": "one"}\n{"id": "y", "prompt": "two", "category": "c"}\n'
    assert read_prompts(save(tmp_path / "c.jsonl", lines)) == (Prompt("x", "one"), Prompt("y", "two", "c"))


@pytest.mark.parametrize("document", [{}, [], {"a": 3}, {"a": {"b": 3}}, {"a": {"b": {"text": "x"}}}, "{"])
def test_files_of_another_form_are_refused(tmp_path, document):
    with pytest.raises(ConfigError, match=r"a\.json"):
        read_prompts(save(tmp_path / "a.json", document))


def test_a_clip_has_the_prompt_of_its_name_and_a_short_id_takes_no_longer_one(tmp_path):
    prompts = read_prompts(save(tmp_path / "b.json", NESTED))
    clips = [
        ClipItem(f"{name}_video_0_seed1", tmp_path / "x", category=own)
        for name, own in [("set1/1", "set1"), ("set1/11", "set1"), ("set2/1", "set2")]
    ]
    given = give_prompts(clips, prompts, "prompts")
    assert [(item.prompt, item.category) for item in given] == [
        ("one", "set1"),
        ("eleven", "set1"),
        ("other one", "set2"),
    ]


def test_a_prompt_without_a_clip_is_an_item_without_a_file(tmp_path):
    given = give_prompts([ClipItem("a", tmp_path / "a.mp4")], [Prompt("a", "one"), Prompt("b", "two")], "prompts")
    assert given == (ClipItem("a", tmp_path / "a.mp4", "one"), ClipItem("b", None, "two"))


def test_names_that_match_none_or_several_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="got 'dogz', which is the name of none; did you mean dogs"):
        give_prompts([ClipItem("dogz", None)], [Prompt("dogs", "x"), Prompt("cats", "y")], "prompts")
    with pytest.raises(ConfigError, match="which matches c/a, d/a"):
        give_prompts([ClipItem("a", None)], [Prompt("a", "x", "c"), Prompt("a", "y", "d")], "prompts")
    with pytest.raises(ConfigError, match="which matches a, a_video_b"):
        give_prompts([ClipItem("a_video_b_video_1", None)], [Prompt("a", "x"), Prompt("a_video_b", "y")], "prompts")
