"""Numbers for readers."""

import math

import pytest

from mova.pages.formats import clock_text, count_text, counted_text, duration_text, near_text, number_text, percent_text


def test_counts_have_commas():
    assert count_text(1234567) == "1,234,567"


def test_shares_have_two_decimals_as_in_the_paper():
    assert percent_text(0.8457) == "84.57 %"
    assert percent_text(None) == percent_text(math.nan) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.12345, "0.1235"),
        (12345.678, "12,346"),
        (-23.456, "-23.46"),
        (1e-9, "1e-09"),
        (2e12, "2e+12"),
        (None, "–"),
        (math.inf, "–"),
        (100.0, "100"),
    ],
)
def test_numbers_have_the_digits_that_matter(value, text):
    assert number_text(value) == text


def test_a_number_is_as_exact_as_its_neighbours_ask_for():
    assert near_text(6.3e-5, 0.93) == "0.0001"
    assert near_text(0.46512, 0.93) == "0.4651"
    assert near_text(1072.4567, 23000) == "1,072"
    assert near_text(-1e-9, 100) == "0"
    assert near_text(0.5, 0.0) == "0.5"
    assert near_text(None, 1.0) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.0416, "8.04 s"), (119, "119 s"), (750, "12.5 min"), (11520, "3.2 h"), (0, "0 s")]
)
def test_durations_have_their_unit(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.25, "0:03.2"), (123.5, "2:03.5"), (3723.5, "1:02:03.5"), (59.97, "0:59.9"), (-1, "0:00.0")]
)
def test_places_in_a_video_read_as_a_clock(seconds, text):
    assert clock_text(seconds) == text


def test_one_is_named_otherwise_than_several():
    assert [counted_text(number, "clip") for number in (0, 1, 1234)] == ["0 clips", "1 clip", "1,234 clips"]
    assert counted_text(2, "file of footage", "files of footage") == "2 files of footage"
