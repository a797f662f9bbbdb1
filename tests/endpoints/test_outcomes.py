"""Outcomes, and which of them concern every call."""

import pytest

from mova.endpoints.outcomes import SAID_BY_MODEL, Outcome, Reply, Usage, fatal


def test_usage_adds_up():
    assert Usage(1, 2) + Usage(30, 40) == Usage(31, 42)
    assert Usage(31, 42).tokens == 73


def test_what_was_not_said_by_the_model_is_not_kept():
    assert {Outcome.TIMEOUT, Outcome.TRANSPORT, Outcome.BUDGET, Outcome.EMPTY, Outcome.INVALID}.isdisjoint(
        SAID_BY_MODEL
    )


@pytest.mark.parametrize(("status", "expected"), [(401, True), (403, True), (404, True), (400, False), (500, False)])
def test_a_wrong_key_address_or_model_concerns_every_call(status, expected):
    assert fatal(Reply(Outcome.TRANSPORT, status=status)) is expected
