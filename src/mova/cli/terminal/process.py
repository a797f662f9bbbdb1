"""How a command ends when it is asked to: one way for Ctrl-C, a scheduler's SIGTERM and a terminal that goes away.

The first signal raises `Interrupted` wherever the command is, so that every block removes what it was making and ends
the processes that it started. Further ones are ignored for a while, since `timeout` and terminals send several; after
that, or when the command does not come to its end, the process leaves at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mova.errors import Interrupted
from mova.files.unfinished import remove_unfinished

# What cleaning up may take before another signal ends the process, and before it ends by itself.
_PATIENCE_S = 5.0
_MOST_S = 30.0
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Ending:
    """Takes the signals that end a command.

    Attributes:
        number: of the first signal that came; None before.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._since_s = 0.0

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if self.number is None:
            self.number, self._since_s = number, now
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, _MOST_S)
            raise Interrupted(number)
        if now - self._since_s > _PATIENCE_S:
            self.leave()

    def leave(self, *_: object) -> None:
        """End the process without farewell."""
        remove_unfinished()
        os._exit(Interrupted(self.number or signal.SIGINT).exit_code)

    def check(self) -> None:
        """Raise again what a library has swallowed: an `except` around an import, or a callback that cannot raise."""
        if self.number is not None:
            raise Interrupted(self.number)


_endings: list[Ending] = []


@contextmanager
def ending_signals() -> Iterator[Ending]:
    """Take the signals while the block runs; outside the main thread, where Python delivers none, nothing is taken."""
    ending = Ending()
    former: dict[int, Any] = {}
    _endings.append(ending)
    try:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                # Who started the process with a signal switched off (nohup, a shell's background job) meant it.
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    former[number] = signal.signal(number, ending.take)
            if hasattr(signal, "SIGALRM"):
                former[signal.SIGALRM] = signal.signal(signal.SIGALRM, ending.leave)
        yield ending
    finally:
        remove_unfinished()
        if ending.number is not None and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in former.items():
            signal.signal(number, handler)
        _endings.remove(ending)


def stop_if_asked() -> None:
    """Raise `Interrupted` if a signal came that nothing has heeded; for places that a long job comes by."""
    if _endings:
        _endings[-1].check()
