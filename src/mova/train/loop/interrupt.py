"""Ctrl-C and a scheduler's SIGTERM while a run trains: no half update is saved, and several processes stop together.

Outside of training the command line takes the same signals.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from mova.errors import Interrupted

SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__)


class Interrupts:
    """Takes the signals that end a run, for the time of the block.

    A process that is alone is interrupted where it is (`Interrupted`), or at the end of a block that holds
    interrupts back. One among several only notes that it was asked: leaving alone, it would let the others wait for it
    for ever, so they stop where all of them know.

    Outside the main thread, where Python delivers no signals, nothing is taken.

    Args:
        several: whether this process is one of several.

    Attributes:
        asked: number of the first signal that asked this process to stop; 0 before.
        agreed: whether all processes know of it, see `agree`.
    """

    def __init__(self, *, several: bool) -> None:
        self.several = several
        self.asked = 0
        self.agreed = False
        self._depth = 0
        self._pending = False
        self._former: dict[signal.Signals, Any] = {}

    def agree(self) -> None:
        """Note that all processes know of the interrupt: they stop together from here on."""
        self.agreed = True

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
                raise Interrupted(self.asked)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self.asked = self.asked or number
        if self.several:
            return
        if self._depth:
            self._pending = True
            return
        raise Interrupted(self.asked)
