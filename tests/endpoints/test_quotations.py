"""Quoted speech survives the merge word for word, or the merge is found out."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mova.endpoints.quotations import faults


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ('A man says "Come in."', ["Come in"]),
        ("A man says “Come in!” and waves.", ["Come in!"]),
        ("A man says «Come  in».", ["Come in"]),
        ('"Well," he says, "come in."', ["Well, come in."]),
        ('"Yes." Then she asks: "Why?"', ["Yes.", "Why?"]),
        ("他说：「你好，世界。」", ["你好，世界"]),
        ("他说“你好”，然后“世界”。", ["你好世界"]),
        ('She whispers "I don’t know".', ["I don't know"]),
        ("She says \"he said 'no' to me\".", ['he said "no" to me']),
        ('She says "he said "no" to me".', ['he said "no" to me']),
        ('A voice: "café"', ["cafe\u0301"]),
        ('A voice: "let us [inaudible] tomorrow"', ["let us [inaudible] tomorrow"]),
        ("Nobody speaks.", []),
        ("Nobody speaks.", ["..."]),
    ],
)
def test_a_faithful_caption_passes(caption, words):
    assert faults(caption, words) == ()


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ('A man says "Come on in."', ["Come in"]),
        ("A man says come in.", ["come in"]),
        ('A man says "come in".', ["Come in"]),
        ('A man says "Come".', ["Come in"]),
        ('A man says "Come in".', ["Come in", "Sit down"]),
        ('Ein Mann sagt "Hello".', ["Hallo"]),
        ('He says "nowhere".', ["where"]),
        ('He says "Come in.', ["Come in"]),
        ("", ["Come in"]),
        ('He says "Hello" and how are "you".', ["Hello and how are you"]),
    ],
)
def test_missing_changed_or_unquoted_words_are_found(caption, words):
    assert faults(caption, words)


def test_what_nobody_says_must_not_be_quoted():
    assert faults('He says "Hi". She says "Bye".', ["Hi"])
    assert faults('He says "Hi".', [])
    assert faults('A sign reads "EXIT". He says "Hi".', ["Hi"], ["Exit"])
    assert not faults('A sign reads "EXIT". He says "Hi".', ["Hi"], ["EXIT ONLY"])


def test_a_fault_says_what_must_stand_there():
    (fault,) = faults("He greets her.", ["Grüß Gott"])
    assert '"Grüß Gott"' in fault


DOUBLE = '"“”„‟«»「」『』＂〝〞'
LETTERS = st.characters(categories=("L", "M", "N", "P", "Z"), exclude_characters=DOUBLE)
SAID = st.text(LETTERS, min_size=1, max_size=30)
TOLD = st.text(st.characters(categories=("Lu", "Ll", "Zs")), max_size=20)
MARKS = st.sampled_from(['""', "“”", "„“", "«»", "「」"])


@given(st.lists(st.tuples(TOLD, SAID, MARKS), max_size=4), TOLD)
def test_words_that_are_quoted_as_they_are_always_pass(pieces, end):
    caption = "".join(f"{before} {marks[0]}{said}{marks[1]} " for before, said, marks in pieces) + end
    assert faults(caption, [said for _, said, _ in pieces]) == ()


@given(st.lists(st.sampled_from(["rain", "你好", "don't", "où", "Grüß", "yes"]), min_size=1, max_size=6), st.data())
def test_a_word_that_is_lost_or_changed_is_always_found(words, data):
    place = data.draw(st.integers(0, len(words) - 1))
    other = [*words[:place], *data.draw(st.sampled_from([[], ["snow"], [words[place] + "s"]])), *words[place + 1 :]]
    assume(" ".join(words) not in " ".join(other))
    assert faults(f'She says "{" ".join(other)}".', [" ".join(words)])


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3), st.lists(st.text(max_size=20), max_size=2))
def test_any_text_can_be_checked(caption, words, texts):
    assert all(isinstance(fault, str) for fault in faults(caption, words, texts))
