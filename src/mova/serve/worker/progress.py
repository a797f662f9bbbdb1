"""How far a job is, from how far its stages are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from mova.generate.session import DECODING, LOADING, SAMPLING, WRITING
from mova.serve.jobs.records import Progress, seconds_left

# Percent of a job at which a stage begins and ends.
_SPANS: Final = {LOADING: (0.0, 3.0), SAMPLING: (3.0, 85.0), DECODING: (85.0, 96.0), WRITING: (96.0, 99.0)}


class Pace:
    """Turns stages into percent, and percent into the time that is left.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, float] | None = None
        self._last = 0.0

    def at(self, stage: str, done: int, total: int) -> Progress:
        """Return how far the job is.

        Args:
            stage: of `mova.generate.session`; the first call of a stage gives 0, or what was done before.
            done, total: of its parts.
        """
        first, last = _SPANS.get(stage, (0.0, 0.0))
        percent = first + (last - first) * min(1.0, done / max(1, total))
        now = self._clock()
        # A clip that is made again with another seed begins anew.
        if stage == LOADING or self._began is None or percent < self._last:
            self._began = (now, percent)
        self._last = percent
        began_s, began = self._began
        left = None if percent <= began else seconds_left((percent - began) / (100.0 - began), now - began_s)
        return Progress(stage, done, total, round(percent, 1), left)
