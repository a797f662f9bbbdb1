"""Scores have a value or a reason, never both and never neither."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.scorers.base import Absence, Score


@given(st.floats())
def test_a_number_becomes_a_value_and_what_is_no_number_a_reason(value):
    score = Score.of(value)
    assert (score.value == value) if math.isfinite(value) else score.reason.startswith(f"{Absence.FAILED}: ")


@pytest.mark.parametrize(("value", "reason"), [(None, ""), (1.0, "why"), (math.nan, ""), (math.inf, "")])
def test_neither_both_and_what_is_not_finite_are_refused(value, reason):
    with pytest.raises(ValueError, match="a score must"):
        Score(value, reason)


def test_a_reason_begins_with_its_kind():
    assert Score.absent(Absence.WEIGHTS, "dover.pth").reason == "skipped: weights: dover.pth"
    assert Score.absent(Absence.NOT_APPLICABLE).reason == "not applicable"
