"""How a worker hears of new jobs at once, and that its server is gone: by its standard input.

A line says that there is something to do. The end of the input says that the server has ended, however it did.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import IO, Final

_GRACE_S: Final = 20.0


class Wake:
    """What a worker waits for.

    Args:
        grace_s: seconds after the end of the input in which the process ends by itself.
        on_late: called when it has not.
    """

    def __init__(self, grace_s: float = _GRACE_S, on_late: Callable[[], None] = lambda: os._exit(1)) -> None:
        self._grace_s, self._on_late = grace_s, on_late
        self._is_due, self._is_over = threading.Event(), threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the worker is to end."""
        return self._is_over.is_set()

    def listen(self, lines: IO[bytes]) -> None:
        """Begin to listen, in a thread."""
        threading.Thread(target=self._listen, args=(lines,), name="wake", daemon=True).start()

    def stop(self) -> None:
        """Let the worker end between two steps."""
        self._is_over.set()
        self._is_due.set()

    def wait(self, most_s: float) -> None:
        """Wait until there may be something to do, at most so many seconds."""
        self._is_due.wait(most_s)

    def clear(self) -> None:
        """Forget that there was something to do; to be called before the queue is looked at."""
        if not self.is_over:
            self._is_due.clear()

    def ring(self) -> None:
        """Say that there may be something to do."""
        self._is_due.set()

    def _listen(self, lines: IO[bytes]) -> None:
        while os.read(lines.fileno(), 4096):
            self.ring()
        self.stop()
        # A step may take longer than anybody waits; what was saved of it is gone on from.
        time.sleep(self._grace_s)
        self._on_late()
