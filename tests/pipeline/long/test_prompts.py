"""Prompts along a clip."""

import pytest

from mova.conditioning.windows import plan_windows
from mova.errors import ConfigError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.pipeline.long.prompts import PromptTrack

TINY = CodecGeometry(sample_rate=16_000, hop_length=320)


@pytest.fixture(scope="module")
def plan():
    """Windows that begin to make something at 0, 2.042, 3.542 and 5.042 s."""
    window = ClipGeometry(128, 128, 49, 24.0, TINY)
    return plan_windows(ClipGeometry(128, 128, 157, 24.0, TINY), window)


def test_a_window_takes_the_prompt_that_holds_in_the_middle_of_what_it_makes(plan):
    track = PromptTrack.of("first", [(4.5, "third"), (2.5, "second")])
    track.check(plan)
    assert [track.text_of(window, plan) for window in plan.windows] == ["first", "second", "second", "third"]


def test_a_prompt_at_the_beginning_takes_the_place_of_the_first(plan):
    assert PromptTrack.of("first", [(0.0, "other")]).text_of(plan.windows[0], plan) == "other"


def test_times_are_of_the_file_where_another_clip_stands_before(plan):
    track = PromptTrack.of("first", [(12.5, "second")])
    track.check(plan, 10.0)
    assert [track.text_of(window, plan, 10.0) for window in plan.windows] == ["first", *["second"] * 3]


@pytest.mark.parametrize(
    ("later", "text"),
    [
        ([(-1.0, "b")], "prompt-at must be at 0 or more seconds, got -1; nearest is 0"),
        ([(float("nan"), "b")], "prompt-at must be at 0 or more seconds, got nan"),
        ([(2.0, " ")], "prompt must hold text, got ' ' at 2 s"),
        ([(2.0, "b"), (2.0, "c")], "prompt-at must name each time once, got 2 s twice"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(later, text):
    with pytest.raises(ConfigError, match=text):
        PromptTrack.of("a", later)


@pytest.mark.parametrize(
    ("later", "text"),
    [
        ([(7.0, "b")], r"prompt-at must lie in what is made \(0.000 s to 6.542 s\), got 7 s for 'b'; nearest is 5.042"),
        ([(1.9, "b"), (2.1, "c")], r"got 1.9 s for 'b', which is in none; windows begin at 0.000, 2.042.*is 2.042"),
    ],
)
def test_prompts_that_no_window_would_take_are_refused(plan, later, text):
    with pytest.raises(ConfigError, match=text):
        PromptTrack.of("a", later).check(plan)
