"""When to ask again: back-off with jitter, Retry-After in both of its forms, and clocks that tests can turn."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRIED: Final = frozenset({408, 409, 429})
"""HTTP statuses, beside those from 500 on, after which another attempt can bring another result."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
LONGEST_RETRY_AFTER_S: Final = 120.0
# A date of the far future, or a number too long to be read as one, ends at the bound either way.
_LONGEST_HEADER: Final = 64


@dataclass(frozen=True)
class Timing:
    """Clocks and chance.

    Attributes:
        sleep: waits that many seconds.
        monotonic: seconds of a clock that never goes back.
        wall: seconds since 1970.
        random: of the jitter.
    """

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: random.Random = field(default_factory=random.Random)


def retry_after_s(header: str, now: float) -> float | None:
    """Return how many seconds a header Retry-After asks for, from 0 to `LONGEST_RETRY_AFTER_S`.

    Args:
        header: a number of seconds, or a date; "" where there was none.
        now: seconds since 1970.

    Returns:
        None where it says nothing that can be understood.
    """
    header = header.strip()
    if not header or len(header) > _LONGEST_HEADER:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError, OSError, TypeError):
            return None
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def wait_s(attempt: int, header: str, timing: Timing) -> float:
    """Return how long to wait before asking again.

    What the endpoint asks for is kept, with a little more by chance; without it the wait doubles with each attempt and
    is drawn between half and all of that, so that many who failed together do not come back together.

    Args:
        attempt: attempts so far, from 1.
        header: Retry-After, "" where there was none.
        timing: clocks and chance.
    """
    asked = retry_after_s(header, timing.wall())
    if asked is not None:
        return asked + FIRST_WAIT_S * timing.random.random()
    most = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt - 1, 16))
    return most * (0.5 + 0.5 * timing.random.random())
