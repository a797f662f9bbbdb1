"""How often somebody may do something."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable
from typing import Final

_MOST_KEYS: Final = 10_000


class Window:
    """At most so many in so many seconds, for each key by itself.

    Args:
        most: times.
        seconds: length of the window.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()
        self._times: dict[Hashable, deque[float]] = {}

    def take(self, key: Hashable, now: float) -> float:
        """Note one more and return 0; or note nothing and return after how many seconds there is room again."""
        with self._lock:
            if key not in self._times and len(self._times) >= _MOST_KEYS:
                # Whoever was first seen longest ago.
                del self._times[next(iter(self._times))]
            times = self._times.setdefault(key, deque())
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) >= self._most:
                return max(times[0] + self._seconds - now, 1e-3)
            times.append(now)
            return 0.0
