import json

from mova.toyworld.event import LAST_EVENT_S, Event, countable_until


def test_event_becomes_json_and_back():
    event = Event(0.5, "strike", 0.1, 0.66, 0, "red", "bar", 523.0, 0.5)
    vowel = Event(0.5, "vowel", 0.1, 0.66, None, "red", "a", 120.0, 0.5, end_s=0.9, side="left")
    for one in (event, vowel):
        assert Event(**json.loads(json.dumps(one.to_dict()))) == one


def test_counting_stops_150_ms_before_the_end():
    assert abs(countable_until(48, 24.0) - 1.85) < 1e-12


def test_scenes_end_before_counting_does():
    assert countable_until(49, 24.0) - 0.01 > LAST_EVENT_S
