"""Ctrl-C and a scheduler's SIGTERM while a run trains: no half update is saved, and several processes stop together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Takes the signals that end a run, for the time of the block.

    A process that is alone is interrupted where it is (KeyboardInterrupt), or at the end of a block that holds
    interrupts back. One among several only notes that it was asked: leaving alone, it would let the others wait for it
    for ever, so they stop where all of them know.

    Outside the main thread, where Python delivers no signals, nothing is taken.

    Args:
        several: whether this process is one of several.

    Attributes:
        asked: whether this process was asked to stop.
        agreed: whether all processes know of it; set by who made them agree.
    """

    def __init__(self, *, several: bool) -> None:
        self.several = several
        self.asked = self.agreed = False
        self._depth = 0
        self._pending = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # Who started the process with a signal switched off (nohup, a shell's background job) meant it.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let an interrupt wait for the end of the block: half an update must not be saved."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._pending and not self._depth:
                self._pending = False
                raise KeyboardInterrupt

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self.several:
            return
        if self._depth:
            self._pending = True
            return
        raise KeyboardInterrupt


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, with which schedulers end a job, do what Ctrl-C does."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
