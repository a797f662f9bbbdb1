"""Values with their intervals."""

import pytest

from mova.pages.intervals import Interval, interval_chart


def test_it_says_in_words_what_it_shows():
    chart = interval_chart("Ratings", [Interval("a <b>", 1100.0, 1080.0, 1120.0), Interval("c", 900.0)]).markup
    assert 'aria-label="Ratings: a &lt;b&gt; 1,100, 1,080 to 1,120; c 900, no interval."' in chart
    assert chart.count("<rect") == 1
    assert chart.count("<circle") == 2


def test_values_that_are_all_the_same_have_a_place():
    assert "nan" not in interval_chart("x", [Interval("a", 5.0), Interval("b" * 50, 5.0)]).markup
    with pytest.raises(ValueError, match="needs a row"):
        interval_chart("x", [])
