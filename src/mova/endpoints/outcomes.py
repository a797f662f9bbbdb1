"""How a call of an endpoint ends: outcomes, replies, and what is known of a call that brought none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar


class Outcome(StrEnum):
    """How a call ended; every call ends in exactly one of these.

    Attributes:
        OK: a whole reply.
        LENGTH: the reply was cut at `max_tokens`.
        FILTERED: a filter of the provider kept the reply or refused the request.
        REFUSED: the model said that it will not answer.
        EMPTY: the reply held no text.
        INVALID: the reply does not fit the schema, and the one that was asked for in its place does not either.
        TIMEOUT: no whole reply came in time.
        TRANSPORT: no reply came: a connection that broke, an HTTP status, a body that is no reply.
        BUDGET: nothing was asked, since the budget of the run is spent.
    """

    OK = "ok"
    LENGTH = "length"
    FILTERED = "filtered"
    REFUSED = "refused"
    EMPTY = "empty"
    INVALID = "invalid"
    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    BUDGET = "budget"


SAID_BY_MODEL: Final = frozenset({Outcome.OK, Outcome.LENGTH, Outcome.FILTERED, Outcome.REFUSED})
"""Outcomes that asking again would bring again, and that were paid for: replies with these are kept on disk."""


@dataclass(frozen=True)
class Usage:
    """What a reply cost.

    Attributes:
        tokens_in: tokens of the request; 0 where the endpoint did not say.
        tokens_out: tokens of the reply; 0 where the endpoint did not say.
    """

    tokens_in: int = 0
    tokens_out: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out)

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.tokens_in + self.tokens_out


@dataclass(frozen=True)
class Reply:
    """What a call brought.

    Attributes:
        outcome: how it ended.
        text: what the model said, without its thoughts; "" where there is none.
        detail: what is known of an outcome that is not `OK`; holds no secret.
        status: HTTP status of a call that ended in one; 0 otherwise.
        finish_reason: as the endpoint says.
        usage: tokens.
        model: name that the endpoint gives itself; "" where it does not say.
        request_id: of the endpoint's logs; "" where it gives none.
        prompt_sha256: hexadecimal digest of the instruction.
        attempts: requests that were sent; 0 where the reply was on disk or nothing was asked.
        seconds: from the first request to the end of the last, waits included.
        cached: whether the reply was on disk.
    """

    outcome: Outcome
    text: str = ""
    detail: str = ""
    status: int = 0
    finish_reason: str = ""
    usage: Usage = Usage()
    model: str = ""
    request_id: str = ""
    prompt_sha256: str = ""
    attempts: int = 0
    seconds: float = 0.0
    cached: bool = False


@dataclass(frozen=True)
class Fault:
    """Why an attempt brought no reply.

    Attributes:
        outcome: `TIMEOUT`, `TRANSPORT` or `FILTERED`.
        detail: what is known of it.
        status: HTTP status; 0 where there was none.
        again: whether another attempt can bring another result.
        retry_after: value of the header Retry-After; "" where there was none.
        request_id: of the endpoint's logs.
    """

    outcome: Outcome
    detail: str
    status: int = 0
    again: bool = False
    retry_after: str = ""
    request_id: str = ""


Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """A reply together with what it says in the form that was asked for.

    Attributes:
        reply: of the call, or of the repair call; its usage is that of both.
        value: None exactly where the reply's outcome is not `OK`.
    """

    reply: Reply
    value: Value | None


def fatal(reply: Reply) -> bool:
    """Return whether a reply says that the endpoint takes no request of this kind: wrong key, address or model."""
    return reply.outcome is Outcome.TRANSPORT and reply.status in (401, 403, 404)
