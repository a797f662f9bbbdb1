"""Counts that must add up."""

import pytest

from mova.curate.records import State
from mova.curate.report.data import ReportData, RunFacts, Tally
from mova.errors import StageError


def report(**tallies):
    return ReportData(RunFacts(), tallies, {"sources": 100.0, "cut": 80.0})


def test_a_tally_is_made_of_states():
    assert Tally.of({State.KEPT: 2, State.FAILED: 1}) == Tally(3, 2, 0, 1)


def test_shares_are_of_the_footage():
    data = report(cut=Tally(1, 1))
    assert data.share("cut") == 0.8
    assert data.share("verdicts") is None
    assert ReportData(RunFacts(), {}, {"sources": 0.0, "cut": 0.0}).share("cut") is None


def test_counts_that_add_up_are_fine():
    report(cut=Tally(3, 2, 0, 1), score=Tally(2, 2), verdicts=Tally(2, 1, 1), caption=Tally(1, 1)).check()


@pytest.mark.parametrize(
    ("tallies", "text"),
    [
        ({"cut": Tally(3, 2)}, "cut: 3 in, 2 kept, 0 rejected, 0 failed"),
        ({"cut": Tally(3, 3), "score": Tally(2, 2)}, "cut kept 3 clips, and 2 came into score"),
        ({"score": Tally(3, 3), "verdicts": Tally(4, 4)}, "score kept 3 clips, and 4 came into verdicts"),
    ],
)
def test_a_clip_that_got_lost_is_an_error_that_says_where(tallies, text):
    with pytest.raises(StageError, match=text):
        report(**tallies).check()


def test_what_sources_announce_must_be_there():
    data = ReportData(RunFacts(), {"cut": Tally(3, 3)}, {}, announced=4)
    with pytest.raises(StageError, match="the sources gave 4 clips, and the table has 3 that were cut"):
        data.check()
