"""What is counted, in the format of Prometheus."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from mova.errors import MissingExtraError
from mova.serve.jobs.store import JobStore

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """Counts of one server, in a registry of its own.

    Args:
        store: of jobs.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """

    def __init__(self, store: JobStore) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "prometheus-client", "serve") from error
        self._store, self._lock = store, threading.Lock()
        self._registry: CollectorRegistry = CollectorRegistry()
        labels, registry = ["method", "route"], self._registry
        self._requests = Counter("mova_requests", "Requests.", [*labels, "status"], registry=registry)
        self._seconds = Histogram("mova_request_seconds", "Seconds.", labels, buckets=_BUCKETS, registry=registry)
        self._streams = Gauge("mova_event_streams", "Open streams of events.", registry=registry)
        self._accepted = Counter("mova_accepted_jobs", "Jobs that were accepted.", registry=registry)
        self._jobs = Gauge("mova_jobs", "Jobs by state.", ["state"], registry=registry)
        self._paused = Gauge("mova_queue_paused", "Whether the queue is paused.", registry=registry)
        self._workers = Gauge("mova_workers", "Workers by state.", ["state"], registry=registry)

    def done(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; what has no route is counted together."""
        method = method if method in ("GET", "HEAD", "POST", "PATCH", "DELETE") else "other"
        self._requests.labels(method, route or "none", str(status)).inc()
        self._seconds.labels(method, route or "none").observe(seconds)

    def accepted(self, count: int) -> None:
        """Count jobs that were accepted."""
        self._accepted.inc(count)

    def streams(self, change: int) -> None:
        """Count a stream that begins (1) or ends (-1)."""
        self._streams.inc(change)

    def text(self) -> bytes:
        """Return all counts; it asks the database."""
        from prometheus_client import generate_latest

        with self._lock:
            for state, count in self._store.counts().items():
                self._jobs.labels(str(state)).set(count)
            self._paused.set(int(self._store.is_paused))
            self._workers.clear()
            for worker in self._store.workers():
                self._workers.labels(worker.state).inc()
            written: bytes = generate_latest(self._registry)
            return written
