"""A text is rewritten by a model, checked, and repaired once."""

import asyncio
import json

import pytest

from enhance_kit import PROMPT, REQUEST
from fake_endpoint import says
from mova.generate.enhance.enhanced import CallEnd, FrameDescription
from mova.generate.enhance.rewrite import rewrite_text

FRAME = FrameDescription("photograph", "wide shot", "a shop", ("OPEN 24h",))


def rewrite(text, settings, shared, frame=None):
    return asyncio.run(rewrite_text(text, frame, settings, shared))


def test_a_prompt_that_keeps_the_rules_is_taken_at_once(fake, settings, shared):
    fake.reset(says(f'<think>hm "x"</think>\n{PROMPT}'))
    prompt, calls = rewrite(REQUEST, settings("text"), shared)
    assert prompt == PROMPT
    assert [(call.step, call.end, call.model, call.attempts) for call in calls] == [("text", CallEnd.OK, "m-text", 1)]
    ((_, body, _),) = fake.requests
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert json.loads(body["messages"][1]["content"]) == {
        "request": REQUEST,
        "first_frame": None,
        "on_screen_text": None,
    }


def test_faults_are_named_in_one_repair_call(fake, settings, shared):
    fake.reset(says('She says "Morning".'), says(PROMPT))
    prompt, calls = rewrite(REQUEST, settings("text"), shared)
    assert prompt == PROMPT
    assert [call.step for call in calls] == ["text", "repair"]
    assert calls[0].end is CallEnd.FAULTY
    asked = fake.requests[1][1]["messages"][-1]["content"]
    assert '"Good morning"' in asked
    assert "早上好" in asked
    assert "last paragraph" in asked
    assert len(fake.requests) == 2


def test_what_is_wrong_twice_is_no_prompt(fake, settings, shared):
    fake.reset(says("A static shot."))
    prompt, calls = rewrite(REQUEST, settings("text"), shared)
    assert prompt is None
    assert calls[-1].end is CallEnd.FAULTY
    assert "stand still" in calls[-1].detail
    assert len(fake.requests) == 2


def test_text_of_the_image_must_come_back_letter_for_letter(fake, settings, shared):
    good = 'A shop glows under its sign "OPEN 24h" as a cat trots past.\n\nThe audio shows soft paws.'
    fake.reset(says(good.replace("24h", "24 hours")), says(good))
    prompt, calls = rewrite("a cat walks past", settings("text"), shared, FRAME)
    assert prompt == good
    assert "OPEN 24h" in calls[0].detail
    assert "OPEN 24h" in json.loads(fake.requests[0][1]["messages"][1]["content"])["on_screen_text"]


@pytest.mark.parametrize("words", ["I'm sorry, I can't help with that.", "抱歉，我无法帮助您"])
def test_a_refusal_in_plain_words_is_a_refusal(fake, settings, shared, words):
    fake.reset(says(words))
    prompt, (call,) = rewrite(REQUEST, settings("text"), shared)
    assert prompt is None
    assert call.end is CallEnd.REFUSED


def test_chinese_may_stay_chinese(fake, settings, shared):
    prompt = "一只猫从窗台跳下，踩着地毯跑向门口。\n\n音频中可以听到轻轻的脚步声。"
    fake.reset(says(prompt))
    assert rewrite("一只猫跳下窗台", settings("text", language="as_given"), shared)[0] == prompt
    assert "the language of the request" in fake.requests[0][1]["messages"][0]["content"]
    fake.reset(says(prompt))
    assert rewrite("一只猫跳下窗台", settings("text"), shared)[0] is None
