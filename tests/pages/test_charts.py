"""Charts."""

import pytest

from mova.pages.charts import Line, Segment, bar, histogram, stacked_bar
from mova.pages.parts import Tone


def test_a_histogram_has_a_bar_for_each_bin_with_something_in_it():
    made = histogram("blur", [0, 1, 2, 3], [5, 0, 10]).markup
    assert made.count("<rect") == 2
    assert "2 to 3: 10" in made


def test_bins_beyond_a_threshold_have_another_colour():
    kept_below = histogram("x", [0, 1, 2, 3], [1, 1, 1], [Line(2, False, "< 2")]).markup
    assert kept_below.count('class="bar out"') == 1
    kept_above = histogram("x", [0, 1, 2, 3], [1, 1, 1], [Line(2, True, "> 2")]).markup
    assert kept_above.count('class="bar out"') == 2
    assert "&gt; 2" in kept_above


def test_a_histogram_says_in_words_what_it_shows():
    made = histogram("blur (px)", [0, 1, 2, 3], [5, 0, 15], [Line(2, True, "> 2")]).markup
    assert 'role="img"' in made
    assert "Histogram of blur (px): 20 values from 0 to 3, most of them, 15, from 2 to 3." in made
    assert "about 25.00 % lie below it" in made


def test_a_threshold_beyond_the_values_stands_at_the_end():
    made = histogram("x", [0, 1], [1], [Line(7, True, "> 7")]).markup
    assert '<line x1="360.0"' in made
    assert 'text-anchor="end"' in made


@pytest.mark.parametrize(("edges", "counts"), [([0], []), ([0, 1, 2], [1]), ([0, 0], [1]), ([1, 0], [1])])
def test_edges_that_fit_no_bins_are_a_mistake(edges, counts):
    with pytest.raises(ValueError, match="ascending edges"):
        histogram("x", edges, counts)


def test_a_bar_is_as_long_as_its_share_and_no_longer():
    assert 'width="25.0"' in bar(0.25, "a quarter").markup
    assert 'width="100.0"' in bar(7.0, "all").markup
    marked = bar(0.5, "x", Tone.GOOD, mark=1.0).markup
    assert 'class="fill good"' in marked
    assert 'x="99.5"' in marked


def test_a_stacked_bar_has_a_legend_and_takes_nothing_at_all():
    made = stacked_bar([Segment("kept", 3, Tone.GOOD), Segment("failed", 1, Tone.BAD)]).markup
    assert 'aria-label="kept 3, failed 1"' in made
    assert "kept 3 (75.00 %)" in made
    empty = stacked_bar([Segment("kept", 0, Tone.GOOD)]).markup
    assert empty.count("<rect") == 1
