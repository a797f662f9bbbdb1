"""What a job is, and what is said of it."""

import json
import math

import pytest

from mova.errors import ConfigError
from mova.serve.jobs.records import ClipOrder, Extent, JobState, seconds_left
from serve_kit import order

_FORMER = ("prompt", "seed", "model", "negative_prompt", "settings", "inputs", "speed", "start_s", "retakes")


def test_three_states_are_final():
    assert [state for state in JobState if state.is_final] == ["completed", "failed", "cancelled"]


def test_orders_of_a_batch_differ_in_prompts_and_seeds_alone():
    key = order(settings={"height": 64, "width": 32}).batch_key
    assert key == order("other", seed=9, negative_prompt="dark", settings={"width": 32, "height": 64}).batch_key
    others = (order(), order(speed="fast"), order(model="large"), order(settings={"height": 64}), order(only="audio"))
    assert len({key, *(one.batch_key for one in others)}) == 6
    assert order(inputs={"image": "a"}).batch_key == order(start_s=1.0).batch_key == ""
    assert order(long={"length_s": 4.0}).batch_key == ""


def test_an_order_is_read_as_it_was_written():
    given = order("é", enhancement={"original": "x"}, start_s=0.5, inputs={"video": "v"}, speed="fast")
    assert ClipOrder.from_json(given.to_json()) == given
    assert given.to_json().isascii()
    given = order(
        inputs={"keyframe_0": "a", "keyframe_1": "b", "extend": "c"},
        keyframes=(0.5, 1.0),
        only="video",
        fit="pad",
        retries=0,
        long={"length_s": 4.0, "method": "continue", "prompts_at": [[1.5, "x"]]},
        extent=Extent(97, 48, 2),
        notes=("keyframe: 1.05 s became 1 s",),
    )
    assert ClipOrder.from_json(given.to_json()) == given


def test_an_order_that_is_older_than_windows_can_still_be_read():
    values = json.loads(order(inputs={"video": "v"}, retakes=("1-2",)).to_json()) | {"joins": True}
    found = ClipOrder.from_json(json.dumps({name: values[name] for name in (*_FORMER, "joins")}))
    assert (found.retakes, found.long, found.keyframes) == (("1-2",), None, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": 1},
        {"seed": -1},
        {"seed": 1.5},
        {"colour": "red"},
        {"inputs": {"image": 1}},
        {"inputs": {"path": "a"}},
        {"settings": {"heigth": 64}},
        {"settings": {"height": "64"}},
        {"start_s": math.nan},
        {"start_s": -1.0},
        {"enhancement": "yes"},
        {"retries": -1},
        {"keyframes": ["soon"]},
        {"keyframes": [1.0]},
        {"long": 4},
        {"extent": {"num_frames": 97}},
    ],
)
def test_what_is_no_order_is_refused(changes):
    with pytest.raises(ConfigError):
        ClipOrder.from_json(json.dumps(json.loads(order().to_json()) | changes))


def test_time_that_is_left_is_told_by_the_pace_so_far():
    assert seconds_left(0.25, 10.0) == 30.0
    assert seconds_left(1.0, 10.0) == 0.0
    assert seconds_left(0.0, 10.0) is None
    assert seconds_left(0.5, math.inf) is None
