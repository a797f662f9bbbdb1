"""A meter tells how far a stage is, and what of it this run did."""

from mova.curate.progress import Meter, Progress


def test_a_meter_tells_of_every_step():
    told = []
    meter = Meter("cut", "sources", 3, told.append)
    meter.add(1)
    meter.add(2, 9)
    assert told == [
        Progress("cut", "sources", 0, 3, 0),
        Progress("cut", "sources", 1, 3, 0),
        Progress("cut", "sources", 3, 3, 9),
    ]
