"""Votes as JSON, and what strangers may put in them."""

import pytest

from arena_kit import vote
from mova.errors import ConfigError
from mova.evaluate.arena.records import Answer, Criterion, Mark, Watch, read_answers, read_choice, read_name, read_vote
from mova.files.json_file import as_fields


def fields(value):
    return as_fields(value, "line 1", error=ConfigError)


def test_a_vote_comes_back_as_it_was():
    made = vote(3, "anna", "berta", "both_bad", marks=(Mark.FAST,), category="speech")
    assert read_vote(fields(made.to_json())) == made


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"left": "berta"}, "two models"),
        ({"answers": {"overal": "left"}}, "did you mean overall"),
        ({"answers": {"overall": "lef"}}, "did you mean left"),
        ({"answers": {"sync": "left"}}, "must have an answer to overall"),
        ({"answers": {"overall": 1}}, "must be one of left"),
        ({"watched_left": "yes"}, "true or false"),
        ({"latency_s": float("nan")}, "finite"),
        ({"replays": -1}, "nearest is 0"),
        ({"ballot": ""}, "1 to 100 printable"),
        ({"rater": "a\nb"}, "printable"),
        ({"marks": ["quick"]}, "must be one of unwatched, fast"),
    ],
)
def test_a_line_of_another_form_is_refused(change, text):
    with pytest.raises(ConfigError, match=text):
        read_vote(fields(vote(1, "anna", "berta", "left").to_json() | change))


def test_answers_that_are_left_open_are_left_out():
    assert read_answers(fields({"overall": "tie", "sync": None})) == {Criterion.OVERALL: Answer.TIE}


def test_names_and_choices():
    assert read_name("MOVA 720p", "model") == "MOVA 720p"
    for name in ("", " x", "x" * 101, "a\tb"):
        with pytest.raises(ConfigError, match="printable"):
            read_name(name, "model")
    with pytest.raises(ConfigError, match="did you mean required"):
        read_choice(Watch, "require", "watch")
