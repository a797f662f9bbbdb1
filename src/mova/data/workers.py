"""Processes that decode or render for a run: they leave Ctrl-C to the run, and end when it does, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import Any, Final, ParamSpec, TypeVar

from mova.errors import DataError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_BEGIN_S: Final = 60.0
"""How long a process may take until it says its number."""


class Workers(ProcessPoolExecutor):
    """A pool of processes that tells of a worker that was ended in one place: where results are asked for.

    The standard pool fails the jobs that wait, and refuses those that come later; which of the two a caller meets
    first is chance.

    Args:
        count: number of workers.
        initializer: called in each of them first; importable by name.
        arguments: its arguments.
    """

    def __init__(self, count: int, initializer: object = None, arguments: tuple[object, ...] = ()) -> None:
        # spawn: a forked child of a process that runs torch threads can hang.
        super().__init__(count, get_context("spawn"), _begin, (initializer, arguments))

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Return the job of a call; in a pool that lost a worker it fails like those that waited."""
        try:
            return super().submit(fn, *args, **kwargs)
        except BrokenProcessPool as error:
            job: Future[_T] = Future()
            job.set_exception(error)
            return job


class SoleWorker(Workers):
    """One process, which does one job at a time and can be ended in the midst of it.

    Args:
        initializer: called in it first; importable by name.
        arguments: its arguments.
    """

    def __init__(self, initializer: object = None, arguments: tuple[object, ...] = ()) -> None:
        super().__init__(1, initializer, arguments)
        self._number = super().submit(os.getpid)

    def end_now(self) -> None:
        """Kill the process, whatever it does, and wait for its end."""
        # One that crashed before it said its number is gone; nothing else fails here.
        with contextlib.suppress(BrokenProcessPool, OSError, TimeoutError):
            os.kill(self._number.result(timeout=_BEGIN_S), getattr(signal, "SIGKILL", signal.SIGTERM))
        self.shutdown(wait=True, cancel_futures=True)


def result_of(job: Future[_T], doing: str, where: str) -> _T:
    """Return what a job of `Workers` gives.

    Args:
        job: as `submit` returned it.
        doing: what the processes do, for the error text: "decode clips".
        where: about where the job stands, for the error text: "near a.mp4".

    Raises:
        DataError: a process was ended from outside, as systems do that run short of memory.
    """
    try:
        return job.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"processes that {doing} must run to their end, and one was ended {where}, perhaps for want of memory; "
            "take fewer (data.workers)"
        ) from error


def _begin(initializer: Any, arguments: tuple[Any, ...]) -> None:
    # A terminal sends Ctrl-C to all of its processes; the run decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        # A run that was killed says nothing, and a pool's worker waits for work for ever.
        os._exit(1)
