"""How often somebody may do something, and how much all may do at a time."""

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


class Room:
    """So many bytes that all requests together may have at a time.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0
        self._lock = threading.Lock()

    def share(self) -> Share:
        """Return what one request takes of it, nothing yet."""
        return Share(self)

    def move(self, count: int) -> bool:
        """Take bytes, or give them back where the count is negative; return whether there was room."""
        with self._lock:
            if self._used + count > self._most:
                return False
            self._used += count
            return True


class Share:
    """What one request has of a room.

    Args:
        room: that it is of.
    """

    def __init__(self, room: Room) -> None:
        self._room, self._taken = room, 0

    def take(self, count: int) -> bool:
        """Take bytes; return whether there was room."""
        has_room = self._room.move(count)
        self._taken += count if has_room else 0
        return has_room

    def give_back(self) -> None:
        """Give back all of them."""
        self._room.move(-self._taken)
        self._taken = 0
