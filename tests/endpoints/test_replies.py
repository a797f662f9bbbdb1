"""What an endpoint sent, read leniently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.endpoints.outcomes import Fault, Outcome, Reply, Usage
from mova.endpoints.replies import completion, json_of, plain, without_thoughts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("said", "said"),
        ("<think>a</think>said", "said"),
        ("<think>a\nb</think>\n said <think>c</think> more", "said  more"),
        ("thought</think>said", "said"),
        ("said<think>never ends", "said"),
        ("<think></think>", ""),
    ],
)
def test_thoughts_are_left_out(text, expected):
    assert without_thoughts(text) == expected


def test_marks_without_end_take_no_time():
    assert without_thoughts("<think>" * 300_000) == ""
    assert without_thoughts("<think></think>" * 300_000 + "said") == "said"
    assert json_of("```" + "\n" * 1_000_000) == "```"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('Sure: {"a": {}} ok', '{"a": {}}'),
        ("no", "no"),
    ],
)
def test_an_object_is_found_in_a_text(text, expected):
    assert json_of(text) == expected


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_a_plain_text_can_be_written_and_read_again(text):
    kept = plain(text)
    assert kept.encode().decode() == kept
    assert "\x00" not in kept


@pytest.mark.parametrize("text", ["字幕", "naïve “quoted”", "كلام", "line\nline\ttab", "👩‍👩‍👧 emoji"])
def test_languages_are_kept(text):
    assert plain(text) == text


def body(content, finish="stop", **more):
    return {"choices": [{"message": {"content": content}, "finish_reason": finish}], "model": "m"} | more


def test_a_content_in_parts_is_one_text():
    reply = completion(body([{"type": "text", "text": "a"}, {"type": "other"}, {"type": "text", "text": "b"}]), "r")
    assert (reply.outcome, reply.text, reply.request_id) == (Outcome.OK, "ab", "r")


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -5}, {"prompt_tokens": "many"}, {"prompt_tokens": True}],
)
def test_usage_that_says_nothing_counts_nothing(usage):
    assert completion(body("x", usage=usage), "").usage == Usage(0, 0)


def test_what_is_no_completion_is_a_fault_that_says_why():
    fault = completion({"error": {"message": "overloaded"}}, "")
    assert isinstance(fault, Fault)
    assert fault.again
    assert "overloaded" in fault.detail


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["content", "refusal"]), values), values, values)
def test_any_message_ends_in_a_reply_or_a_fault(message, finish, usage):
    result = completion({"choices": [{"message": message, "finish_reason": finish}], "usage": usage}, "")
    assert isinstance(result, Reply | Fault)
