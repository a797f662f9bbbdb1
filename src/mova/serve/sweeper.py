"""What has to be done now and then: leases that ran out, clips whose time is over, files that nobody knows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from mova.serve.artifacts import Artifacts
from mova.serve.jobs.store import JobStore

_LOG = logging.getLogger(__name__)
_SELDOM_S: Final = 300.0
# By how much the time of day may run ahead of the time that passes, and for how long workers then have time to renew.
_LEAP_S: Final = 2.0
_PATIENCE_S: Final = 5.0


class Sweeper:
    """A thread that looks after jobs.

    Args:
        store: that has the jobs.
        artifacts: that have their files.
        orphan_s: seconds after which files of no job are removed.
        every_s: seconds between two looks.
        on_queued: called when jobs are in the queue again.
        clock: gives seconds since 1970, as the store's.
    """

    def __init__(
        self,
        store: JobStore,
        artifacts: Artifacts,
        *,
        orphan_s: float = 3600.0,
        every_s: float = 5.0,
        on_queued: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._artifacts, self._orphan_s, self._every_s = store, artifacts, orphan_s, every_s
        self._on_queued, self._clock = on_queued, clock
        self._looked_s, self._patient_s = clock() - time.monotonic(), 0.0
        self._is_over = threading.Event()
        self._seldom_s = -_SELDOM_S
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join(10.0)

    def sweep(self) -> None:
        """Look once.

        Raises:
            Exception: the database or the storage fails; the next look goes on.
        """
        if not self._has_leapt() and self._store.expire():
            self._on_queued()
        self._store.doom_expired()
        self._store.remove_doomed(self._artifacts)
        if time.monotonic() - self._seldom_s >= _SELDOM_S:
            self._seldom_s = time.monotonic()
            self._store.forget_old()
            # Their age is asked for first: what comes in between is younger.
            before_s = time.time() - self._orphan_s
            removed = self._artifacts.sweep(*self._store.known_files(), before_s)
            if removed:
                _LOG.info("%d files of no job were removed", removed)

    def _has_leapt(self) -> bool:
        """Say whether the time of day has just leapt: the machine was asleep, or its clock was set.

        All leases have run out then, also those of workers that are alive and renew theirs in a moment.
        """
        now = time.monotonic()
        ahead_s = self._clock() - now
        if ahead_s - self._looked_s > _LEAP_S:
            self._patient_s = now + _PATIENCE_S
        self._looked_s = ahead_s
        return now < self._patient_s

    def _run(self) -> None:
        while True:
            try:
                self.sweep()
            except Exception:
                _LOG.exception("a sweep has failed")
            if self._is_over.wait(self._every_s):
                return
