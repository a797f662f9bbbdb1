"""Calls to endpoints, each with its end told in words that users understand."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from mova.endpoints.outcomes import Outcome, Reply
from mova.endpoints.settings import EndpointSection
from mova.files.json_file import shorten_text
from mova.generate.enhance.enhanced import Call, CallEnd

_ENDS: Final = {
    Outcome.OK: CallEnd.OK,
    Outcome.LENGTH: CallEnd.LENGTH,
    Outcome.FILTERED: CallEnd.FILTERED,
    Outcome.REFUSED: CallEnd.REFUSED,
    Outcome.EMPTY: CallEnd.EMPTY,
    Outcome.INVALID: CallEnd.INVALID,
    Outcome.TIMEOUT: CallEnd.TIMEOUT,
    Outcome.BUDGET: CallEnd.BUDGET,
}
_WORDS: Final = {
    CallEnd.RATE_LIMITED: "asks for fewer requests",
    CallEnd.SERVER_ERROR: "failed",
    CallEnd.NOT_ACCEPTED: "does not take the request (key, address, or name of the model)",
    CallEnd.TIMEOUT: "did not answer in time",
    CallEnd.BROKEN: "could not be reached, or broke off",
    CallEnd.EMPTY: "answered with nothing",
    CallEnd.REFUSED: "declined",
    CallEnd.FILTERED: "kept its answer in a filter",
    CallEnd.LENGTH: "was cut at its longest answer",
    CallEnd.INVALID: "answered in a form that cannot be read",
    CallEnd.FAULTY: "broke the rules of a prompt, twice",
    CallEnd.BUDGET: "was not asked, since the budget is spent",
}


def end_of(reply: Reply) -> CallEnd:
    """Return how a call ended."""
    if reply.outcome is not Outcome.TRANSPORT:
        return _ENDS[reply.outcome]
    if reply.status == 429:
        return CallEnd.RATE_LIMITED
    if reply.status >= 500:
        return CallEnd.SERVER_ERROR
    return CallEnd.NOT_ACCEPTED if reply.status else CallEnd.BROKEN


def call_of(step: str, section: EndpointSection, reply: Reply) -> Call:
    """Return what is kept of a call.

    Args:
        step: what it was for.
        section: of the endpoint.
        reply: what it brought.
    """
    return Call(
        step,
        end_of(reply),
        shorten_text(reply.detail, 400),
        urlsplit(section.base_url).netloc,
        section.model,
        reply.attempts,
        round(reply.seconds, 3),
        reply.usage.tokens,
    )


def complain(call: Call, consequence: str) -> str:
    """Return a sentence on a call that brought nothing.

    Args:
        call: that did not end well.
        consequence: what happens instead.
    """
    detail = f" [{call.detail}]" if call.detail else ""
    where = f"{call.model} at {call.host}" if call.host else call.model
    return f"{call.step}: {where} {_WORDS[call.end]} ({call.end}, attempts: {call.attempts}){detail}; {consequence}"
