"""Budgets: how many calls and tokens a run may take, over all of its processes and after each resume."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from mova.errors import StageError
from mova.files.json_file import read_object
from mova.files.lock import lock_folder
from mova.files.unfinished import unfinished

_WAIT_S: Final = 120.0


@dataclass(frozen=True)
class Spent:
    """What was taken so far.

    Attributes:
        calls: requests that were sent, repeated ones included.
        tokens: that endpoints reported, and estimates for calls that are under way or did not end.
    """

    calls: int = 0
    tokens: int = 0


class Budget(Protocol):
    """What calls are taken from."""

    def take(self, tokens: int) -> bool:
        """Take one call and hold back tokens for it; return whether there was room."""

    def settle(self, held: int, used: int) -> None:
        """Put the tokens that a call used in the place of those that were held back for it."""

    def spent(self) -> Spent:
        """Return what was taken so far."""


class MemoryBudget:
    """A budget of one process; safe among threads.

    Args:
        calls: requests at most; None for no limit.
        tokens: at most; None for no limit.
    """

    def __init__(self, calls: int | None = None, tokens: int | None = None) -> None:
        self._calls, self._tokens = calls, tokens
        self._spent = Spent()
        self._lock = threading.Lock()

    def take(self, tokens: int) -> bool:
        """As in `Budget`."""
        with self._changing():
            more = Spent(self._spent.calls + 1, self._spent.tokens + tokens)
            if (self._calls is not None and more.calls > self._calls) or (
                self._tokens is not None and more.tokens > self._tokens
            ):
                return False
            self._spent = more
            return True

    def settle(self, held: int, used: int) -> None:
        """As in `Budget`."""
        with self._changing():
            self._spent = Spent(self._spent.calls, max(0, self._spent.tokens - held + used))

    def spent(self) -> Spent:
        """As in `Budget`."""
        with self._changing():
            return self._spent

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            yield


class FileBudget(MemoryBudget):
    """A budget of all processes that share a folder; it outlives them, so that a run that is resumed goes on counting.

    What a process held back when it was killed stays taken: a budget is rather used too little than too much.

    Args:
        folder: made where it is missing.
        calls: requests at most; None for no limit.
        tokens: at most; None for no limit.

    Raises:
        StageError: (by every method) the folder cannot be read, written or locked.
    """

    def __init__(self, folder: Path, calls: int | None = None, tokens: int | None = None) -> None:
        super().__init__(calls, tokens)
        self._file = folder / "spent.json"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock, lock_folder(self._file.parent, "budget", wait_s=_WAIT_S, error=StageError):
            before = self._spent = self._read()
            yield
            if self._spent != before:
                self._write(self._spent)

    def _read(self) -> Spent:
        if not self._file.exists():
            return Spent()
        fields = read_object(self._file, error=StageError)
        return Spent(fields.integer("calls"), fields.integer("tokens"))

    def _write(self, spent: Spent) -> None:
        try:
            with unfinished(self._file.with_name(f".{self._file.name}.{os.getpid()}")) as file:
                file.write_text(json.dumps(asdict(spent)), encoding="utf-8")
                file.replace(self._file)
        except OSError as problem:
            raise StageError(f"{self._file} cannot be written: {problem}") from problem
