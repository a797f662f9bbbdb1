"""Quotations of prompts, and what they are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.scorers.words.quotes import MOST_LENGTH, QuoteKind, find_quotes, quoted, without_quotes

SAID, WRITTEN, UNCLEAR = QuoteKind


@pytest.mark.parametrize(
    ("prompt", "kind", "texts"),
    [
        ('A man says, "Hello there, my friend."', SAID, ["Hello there, my friend."]),
        ("“I know,” she whispers, “but wait.”", SAID, ["I know,", "but wait."]),
        ("Der Mann: „Guten Morgen!“", SAID, ["Guten Morgen!"]),
        ("A woman asks «On y va ?» in French.", SAID, ["On y va ?"]),
        ("A boy shouts 'I don't know' and runs.", SAID, ["I don't know"]),
        ("She says ‘It’s late’ and leaves.", SAID, ["It’s late"]),
        ("一个男人说：“你好，朋友。”", SAID, ["你好，朋友。"]),
        ("她低语「快走」。", SAID, ["快走"]),
        ("招牌上写着“营业中”。", WRITTEN, ["营业中"]),
        ('A neon sign reads "OPEN 24 HOURS".', WRITTEN, ["OPEN 24 HOURS"]),
        ('A sign that says "STOP" stands in snow.', WRITTEN, ["STOP"]),
        ('The sign says "STOP".', WRITTEN, ["STOP"]),
        ('He is holding a placard saying "PEACE".', WRITTEN, ["PEACE"]),
        ('The words "THE END" appear.', WRITTEN, ["THE END"]),
        ('"THE END" is displayed in white.', WRITTEN, ["THE END"]),
        ('A man beside a sign says "Welcome home"', SAID, ["Welcome home"]),
        ('A man in a red shirt says "Welcome home"', SAID, ["Welcome home"]),
        ('He reads aloud "Once upon a time"', SAID, ["Once upon a time"]),
        ('He says the words "I do" softly.', SAID, ["I do"]),
        ('She says "One." and then "Two".', SAID, ["One.", "Two"]),
        ('A ship named "Aurora" sails.', UNCLEAR, ["Aurora"]),
    ],
)
def test_quotations_are_told_apart_by_the_words_around_them(prompt, kind, texts):
    found = find_quotes(prompt)
    assert [quote.text for quote in found] == texts
    assert {quote.kind for quote in found} == {kind}


def test_lines_and_texts_of_one_prompt_are_kept_apart():
    prompt = 'Under a banner "Finish", a runner says "I made it!" and a screen displays "1st".'
    assert quoted(prompt, SAID) == ("I made it!",)
    assert quoted(prompt, WRITTEN) == ("Finish", "1st")
    assert "made" not in without_quotes(prompt)
    assert "runner" in without_quotes(prompt)


def test_apostrophes_and_marks_without_a_partner_are_no_quotations():
    for prompt in ("the dogs' owner and the cats' food", "it isn't dead", 'a 5" nail', '""', "“", "”", ""):
        assert find_quotes(prompt) == ()
    assert find_quotes('"' + "a" * (MOST_LENGTH + 1) + '"') == ()


@given(st.text(alphabet="ab “”\"'‘’«».,says說说sign", max_size=60))
def test_any_text_has_quotations_that_lie_apart_inside_of_it(prompt):
    found = find_quotes(prompt)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert all(quote.text and quote.text in prompt[quote.start : quote.end] for quote in found)
