"""Processes that decode or render for a run: they leave Ctrl-C to the run, and end when it does, however it ends."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from typing import Any


def start_workers(count: int, initializer: object = None, arguments: tuple[object, ...] = ()) -> ProcessPoolExecutor:
    """Return a pool of processes.

    Args:
        count: number of workers.
        initializer: called in each of them first; importable by name.
        arguments: its arguments.
    """
    # spawn: a forked child of a process that runs torch threads can hang.
    return ProcessPoolExecutor(count, get_context("spawn"), _begin, (initializer, arguments))


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
