"""How far a job is."""

from mova.serve.worker.progress import Pace


def test_stages_become_percent_that_grow():
    pace = Pace(lambda: 0.0)
    reports = [("loading", 0, 1), ("sampling", 0, 4), ("sampling", 2, 4), ("decoding", 0, 1), ("decoding", 7, 9)]
    found = [pace.at(*report).percent for report in [*reports, ("writing", 0, 1), ("writing", 1, 1)]]
    assert found == sorted(found)
    assert (found[0], found[2], found[-1]) == (0.0, 44.0, 99.0)


def test_time_that_is_left_is_that_of_this_attempt():
    now = [100.0]
    pace = Pace(lambda: now[0])
    assert pace.at("sampling", 5, 10).left_s is None
    now[0] = 110.0
    at = pace.at("sampling", 6, 10)
    assert at.percent == 52.2
    assert at.left_s == 58.3


def test_a_clip_that_is_made_again_begins_anew():
    now = [100.0]
    pace = Pace(lambda: now[0])
    pace.at("sampling", 0, 10)
    now[0] = 200.0
    pace.at("writing", 0, 1)
    assert pace.at("sampling", 0, 10).left_s is None
    now[0] = 210.0
    assert pace.at("sampling", 5, 10).left_s == 13.7


def test_what_is_unknown_is_the_beginning():
    assert Pace().at("something", 1, 2).percent == 0.0
    assert Pace().at("sampling", 0, 0).percent == 3.0
