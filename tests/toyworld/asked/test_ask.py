"""Free wordings become scenes that show what they name; what no scene has is said."""

import json
from pathlib import Path

import pytest

from mova.errors import ConfigError
from mova.settings.scope import read_scope
from mova.toyworld.asked.ask import ask_scene
from mova.toyworld.render import render
from mova.weights.locate import find_model

WORDINGS = Path(__file__).parents[3] / "benchmarks" / "free_wordings.jsonl"
ROWS = [json.loads(line) for line in WORDINGS.read_text(encoding="utf-8").splitlines()]


def named(scene, name):
    if name == "count":
        return len(next(getattr(scene, row) for row in ("bars", "keys", "vowels") if hasattr(scene, row)))
    value = getattr(scene, name)
    return list(value) if isinstance(value, tuple) else value


def test_there_are_twenty_wordings_of_each_language():
    assert [row["language"] for row in ROWS] == ["en"] * 20 + ["zh"] * 20


@pytest.mark.parametrize("row", ROWS, ids=[row["text"][:30] for row in ROWS])
def test_a_free_wording_becomes_the_scene_that_it_names(row):
    asked = ask_scene(row["text"])
    assert {name: named(asked.scene, name) for name in row["asked"]} == row["asked"]
    assert not read_scope(find_model("mova-tiny")).strange_words(asked.caption)
    assert render(asked.scene, size=64, num_frames=1).caption == asked.caption


def test_the_same_wording_is_the_same_scene_whatever_its_case():
    assert ask_scene("A red ball  bounces").scene == ask_scene("a RED ball bounces").scene
    assert ask_scene("a red ball bounces").scene != ask_scene("a red ball jumps").scene


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("an orange ball bounces on wood", "orange became yellow"),
        ("一个粉色的球在木板上", "粉色 became red"),
        ("a black ball bounces on wood", "the colour black is left out"),
        ("a red ball bounces on glass", "glass became metal"),
        ("球在草地上弹跳", "草地 became drum"),
        ("the xylophone is struck nine times", "9 strikes became 5"),
        ("a piano plays do re mi fa sol la ti", "the first 5 of 7 notes"),
        ("a piano plays do do sol sol la", "played once"),
        ("a piano plays C# and F# and G", "white keys only"),
        ("a red ball bounces while a dog barks", "not shown, since no scene has it: dog, barks"),
        ("红球在木板上弹跳，下着雨", "雨"),
        ('a man says "good morning"', '"good morning" cannot be said'),
        ("red, green and blue balls bounce on wood", "the other colours are left out"),
        ("two yellow balls on wood", "never alike"),
        ("three balls bounce", "3 balls became 2"),
        ("a face says oh", "further vowels are chosen"),
        ("a blue ball on a metal plate", "kept out of the training"),
    ],
)
def test_what_cannot_be_shown_is_said(text, said):
    asked = ask_scene(text)
    assert said in "\n".join((*asked.changes, *asked.problems))
    assert asked.scene is not None


@pytest.mark.parametrize(
    "text",
    [
        "a cat sleeps in the sun",
        "夕阳下的城市",
        "Ein Hund bellt.",
        "Это прекрасный день",
        "🙂",
        "12",
        "somebody hits a drum",
    ],
)
def test_a_text_without_a_scene_says_what_there_is(text):
    asked = ask_scene(text)
    assert asked.scene is None
    assert not asked.caption
    assert "no scene is meant" in asked.problems[0]
    assert "a ball bounces" in asked.problems[0]


def test_a_kind_that_the_model_never_saw_is_not_chosen():
    asked = ask_scene("digits are written on a whiteboard")
    assert asked.scene is None
    assert "kind board" in asked.problems[0]
    assert ask_scene("digits on a whiteboard", kinds=("board",)).scene.kind == "board"


def test_what_is_left_open_avoids_what_training_was_kept_from():
    for text in ("a ball bounces", "a green ball", "a red ball on wood", "piano notes", "a face speaks", "two balls"):
        asked = ask_scene(f"{text} {'please'}")
        assert not asked.scene.held_out.intersection(asked.scene.combinations()), text


@pytest.mark.parametrize("text", ["ball " * 2000, "球" * 4000, "a" * 8000, "\x00\u202e ball", "“ball", "((((ball"])
def test_strange_texts_end_quickly_in_a_scene_or_in_none(text):
    try:
        ask_scene(text)
    except ConfigError:
        pytest.fail("every text is answered")


def test_only_what_was_measured_asks_for_another_guidance_scale():
    assert ask_scene("a green ball on wood").guidance_scale == 2.0
    assert ask_scene("a red ball on wood").guidance_scale is None
    assert ask_scene("a piano plays mi fa sol").guidance_scale is None
    assert ask_scene("大红球").scene.size == "large"
