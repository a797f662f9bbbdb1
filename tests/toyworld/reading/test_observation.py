from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.observation import Observation, VideoReading


def test_events_of_a_side_keep_their_order():
    events = tuple(
        SeenEvent(time_s, 0.5, 0.5, None, side=side) for time_s, side in ((0.1, "left"), (0.2, "right"), (0.3, "left"))
    )
    found = Observation(VideoReading(events), (), (), 1 / 24)
    assert [event.time_s for event in found.of_side("left")] == [0.1, 0.3]
    assert found.of_side(None) == []
