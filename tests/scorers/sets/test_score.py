"""A value with how many clips it is of, or a reason."""

import numpy as np
import pytest

from mova.scorers.sets.score import SetScore, as_rows, finite_rows


def test_there_is_a_value_or_a_reason_and_no_value_is_infinite():
    assert SetScore(1.5, scored=3, total=4).value == 1.5
    for wrong in ((None, ""), (1.0, "a reason"), (float("nan"), ""), (float("inf"), "")):
        with pytest.raises(ValueError, match="a score must"):
            SetScore(*wrong)


def test_rows_with_what_is_not_finite_are_left_out():
    rows = np.array([[1, 2], [np.nan, 0], [np.inf, 1], [3, 4]], np.float32)
    assert finite_rows(rows).tolist() == [[1, 2], [3, 4]]
    assert finite_rows(rows).dtype == np.float64


def test_no_rows_may_have_any_shape_and_others_must_be_a_table():
    assert as_rows(np.zeros(0), "rows").shape == (0, 0)
    assert as_rows(np.zeros((0, 5)), "rows").shape == (0, 5)
    with pytest.raises(ValueError, match=r"rows must be one vector a clip, \(N, D\), got shape \(2,\)"):
        as_rows(np.zeros(2), "rows")
