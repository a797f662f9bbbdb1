"""Ends of calls, in words."""

import pytest

from mova.endpoints.outcomes import Outcome, Reply
from mova.endpoints.settings import EndpointSection
from mova.generate.enhance.calls import call_of, complain, end_of
from mova.generate.enhance.enhanced import CallEnd


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.TRANSPORT])
def test_every_outcome_has_its_end(outcome):
    assert end_of(Reply(outcome)).value == outcome.value


@pytest.mark.parametrize(
    ("status", "end"),
    [(429, CallEnd.RATE_LIMITED), (500, CallEnd.SERVER_ERROR), (401, CallEnd.NOT_ACCEPTED), (0, CallEnd.BROKEN)],
)
def test_without_a_reply_the_status_tells_the_end(status, end):
    assert end_of(Reply(Outcome.TRANSPORT, status=status)) is end


def test_a_complaint_names_who_and_how_often():
    section = EndpointSection(base_url="http://host:8/v1", model="m")
    call = call_of("text", section, Reply(Outcome.TIMEOUT, detail="late", attempts=3))
    assert (
        complain(call, "so be it") == "text: m at host:8 did not answer in time (timeout, attempts: 3) [late]; so be it"
    )
