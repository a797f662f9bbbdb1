"""What is asked of a long clip."""

from pathlib import Path

import pytest

from mova.errors import ConfigError, MovaError, ReadError
from mova.files.json_file import Fields
from mova.generate.long.choice import LongChoice, parse_prompt_at, read_choice

NOTHING = {"length": None, "extend": None, "overlap": None, "windows": None, "prompts_at": None}


def test_without_any_option_no_long_clip_is_asked_for():
    assert read_choice(**NOTHING) is None


def test_options_become_a_choice():
    made = read_choice(**NOTHING | {"length": 8.0, "windows": "joint", "prompts_at": ["4=a ball = red", "2.5=b"]})
    assert made == LongChoice(length_s=8.0, method="joint", prompts_at=((4.0, "a ball = red"), (2.5, "b")))
    assert made.record() == {"length_s": 8.0, "method": "joint", "prompts_at": [[4.0, "a ball = red"], [2.5, "b"]]}


@pytest.mark.parametrize("pair", [["x", "a ball"], [None, "a ball"], [float("nan"), "a ball"], [4.0, 5], [4.0]])
def test_a_record_of_another_kind_is_refused(pair):
    with pytest.raises(ReadError, match="a file: prompts_at"):
        LongChoice.read(Fields({"length_s": 8.0, "prompts_at": [pair]}, "a file", ReadError), None)


@pytest.mark.parametrize("text", ["4", "=b", "x=b", "nan=b", ""])
def test_a_prompt_without_a_time_is_refused(text):
    with pytest.raises(ConfigError, match="prompt-at must be TIME=TEXT with a time in seconds"):
        parse_prompt_at(text)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"overlap": 1.0}, "overlap, windows and prompt-at are for a clip of several windows"),
        ({"length": 0.0}, "length must be a number of seconds above 0, got 0; nearest is 1"),
        ({"length": float("nan")}, "length must be a number of seconds above 0, got nan"),
        ({"length": 8.0, "windows": "slide"}, "windows must be one of continue, joint; got 'slide'"),
        ({"extend": Path("none.mp4")}, "extend must be a file that exists, got none.mp4"),
        (
            {"extend": Path(__file__), "windows": "joint"},
            "made jointly go on from no clip.*--windows continue",
        ),
        ({"length": 8.0, "prompts_at": ["4= "]}, "prompt must hold text, got ' ' at 4 s"),
    ],
)
def test_options_that_cannot_be_used_are_refused(changes, text):
    with pytest.raises(MovaError, match=text):
        read_choice(**NOTHING | changes)
