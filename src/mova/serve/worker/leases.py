"""The thread that keeps a worker's jobs its own, says how far they are, and hears when they are to stop.

The loop of the sampler may hold the main thread for minutes; nothing here waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mova.database.database import is_failure
from mova.serve.artifacts import Artifacts
from mova.serve.jobs.records import NO_PROGRESS, Job, Progress, Stop
from mova.serve.jobs.store import JobStore

_LOOK_S: Final = 0.5
_LOG = logging.getLogger(__name__)


class Leases:
    """Leases of the jobs that a worker has.

    Args:
        store: that has the jobs.
        artifacts: that take previews.
        worker: name of the worker.
        lease_s: seconds of a lease.
    """

    def __init__(self, store: JobStore, artifacts: Artifacts, worker: str, lease_s: float) -> None:
        self._store, self._artifacts, self._worker, self._lease_s = store, artifacts, worker, lease_s
        self._lock = threading.Lock()
        self._progress: dict[str, Progress] = {}
        self._stops: dict[str, Stop] = {}
        self._previews: dict[str, tuple[str, bytes]] = {}
        self._state, self._facts = "loading", dict[str, object]()
        self._renewed_s = self._reported_s = time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._report()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join(10.0)

    def say(self, state: str, **facts: object) -> None:
        """Say how the worker is."""
        self._state = state
        self._facts |= facts
        self._try(self._report)

    def take(self, jobs: Sequence[Job]) -> None:
        """Begin to renew jobs that were claimed just now."""
        with self._lock:
            self._progress |= {job.id: job.progress if job.attempt > 1 else NO_PROGRESS for job in jobs}
            self._renewed_s = time.monotonic()

    def drop(self, name: str) -> None:
        """Renew a job no more."""
        with self._lock:
            for known in (self._progress, self._stops, self._previews):
                known.pop(name, None)

    def tell(self, name: str, progress: Progress) -> None:
        """Keep how far a job is, for the next renewal."""
        with self._lock:
            if name in self._progress:
                self._progress[name] = progress

    def show(self, name: str, artifact: str, content: bytes) -> None:
        """Keep a preview of a job, for the next renewal."""
        with self._lock:
            if name in self._progress:
                self._previews[name] = artifact, content

    def stops(self) -> Mapping[str, Stop]:
        """Return the jobs that are to be given up."""
        with self._lock:
            return dict(self._stops)

    def _run(self) -> None:
        while not self._is_over.wait(min(_LOOK_S, self._lease_s / 5)):
            self._try(self._renew)
            if time.monotonic() - self._reported_s > self._lease_s / 3:
                self._try(self._report)

    def _renew(self) -> None:
        with self._lock:
            progress, previews = dict(self._progress), dict(self._previews)
            self._previews.clear()
        if not progress:
            return
        stops = self._store.renew(self._worker, self._lease_s, progress)
        with self._lock:
            self._renewed_s = time.monotonic()
            self._stops = {name: stop for name, stop in stops.items() if name in self._progress}
        for name, (artifact, content) in previews.items():
            self._artifacts.put(artifact, content)
            self._store.show(name, self._worker, {"preview": artifact})

    def _report(self) -> None:
        self._reported_s = time.monotonic()
        self._store.report(self._worker, self._state, self._facts)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            if not is_failure(error):
                _LOG.exception("a renewal has failed")
            else:
                _LOG.warning("the database does not answer: %s", type(error).__name__)
            with self._lock:
                if self._progress and time.monotonic() - self._renewed_s > self._lease_s:
                    # By now others may have them.
                    self._stops = dict.fromkeys(self._progress, Stop.LOST)
