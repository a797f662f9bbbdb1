"""When to ask again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from fake_endpoint import NOW, retry_date
from mova.endpoints.retry import FIRST_WAIT_S, LONGEST_RETRY_AFTER_S, LONGEST_WAIT_S, Timing, retry_after_s, wait_s

TIMING = Timing(wall=lambda: NOW, random=random.Random(0))


def test_both_forms_of_the_header_are_read():
    assert retry_after_s("12", NOW) == 12
    assert retry_after_s(" 1.5 ", NOW) == 1.5
    assert retry_after_s(retry_date(45)["Retry-After"], NOW) == 45
    assert retry_after_s(retry_date(45)["Retry-After"].replace("GMT", "-0000"), NOW) == 45


def test_what_is_asked_for_is_bounded():
    assert retry_after_s("1e9", NOW) == LONGEST_RETRY_AFTER_S
    assert retry_after_s("inf", NOW) == LONGEST_RETRY_AFTER_S
    assert retry_after_s("Fri, 31 Dec 9999 23:59:59 GMT", NOW) == LONGEST_RETRY_AFTER_S
    assert retry_after_s("-1", NOW) == retry_after_s("Thu, 01 Jan 1970 00:00:00 GMT", NOW) == 0


@given(st.text(max_size=80))
def test_whatever_stands_there_gives_a_wait_or_nothing(header):
    seconds = retry_after_s(header, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_S


def test_waits_double_up_to_a_bound_and_differ():
    waits = [[wait_s(attempt, "", TIMING) for _ in range(20)] for attempt in range(1, 30)]
    for attempt, drawn in enumerate(waits):
        most = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt)
        assert all(most / 2 <= seconds <= most for seconds in drawn)
        assert len(set(drawn)) > 10
