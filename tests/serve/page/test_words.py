"""Texts of the page: both languages say the same things, and all that the script asks for is there."""

import re

import pytest

from mova.serve.page.script import SCRIPT
from mova.serve.page.words import WORDS, WORDS_SCRIPT, said


@pytest.mark.parametrize("key", WORDS)
def test_both_languages_take_the_same_values(key):
    english, chinese = WORDS[key]
    assert english
    assert chinese
    assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese))
    assert re.search(r"[\u4e00-\u9fff]", chinese) or "{" in chinese or chinese == "、"


def test_the_script_asks_for_texts_that_there_are():
    calls = SCRIPT.replace(WORDS_SCRIPT, "")
    asked = set(re.findall(r'\bt\("(\w+)"|\bw: "(\w+)"|\bbutton\("(\w+)"', calls))
    assert {one for found in asked for one in found if one} <= set(WORDS)


def test_no_text_is_left_over():
    from mova.serve.page.page import studio_page

    places = studio_page().replace(WORDS_SCRIPT, "")
    made = ("input_", "heard_", "guidance_", "modality_", "example_", "stage_", "server_", "fit_", "only_")
    assert not [key for key in WORDS if f'"{key}"' not in places and not key.startswith(made)]


def test_a_text_follows_the_language():
    assert said("h2", "queue").markup == '<h2 data-w="queue">Queue</h2>'
