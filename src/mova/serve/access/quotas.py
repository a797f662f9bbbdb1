"""What each key may use: requests in a minute, open jobs, bytes that are kept, seconds of video in a day."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, Protocol

from mova.serve.access.gate import Caller
from mova.serve.jobs.records import Job, JobState
from mova.serve.jobs.spending import Spending
from mova.serve.jobs.store import MOST_PER_PAGE, JobStore
from mova.web.limits import Window
from mova.web.refusals import RefusedError

_MINUTE_S: Final = 60.0
_MOST_KNOWN: Final = 100_000
_HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0


class Sizes(Protocol):
    """Where the files of jobs are."""

    def size(self, name: str) -> int:
        """Return the bytes of a file; FileNotFoundError where it is not there."""


class Quotas:
    """Checks of what a key has used.

    Args:
        store: of jobs.
        spending: of a day.
        sizes: of files.
    """

    def __init__(self, store: JobStore, spending: Spending, sizes: Sizes) -> None:
        self._store, self._spending, self._sizes = store, spending, sizes
        self._windows: dict[int, Window] = {}
        self._known: dict[str, int] = {}

    def check_pace(self, caller: Caller) -> None:
        """Note a request that makes jobs, or refuse it.

        Raises:
            RefusedError: too many in a minute.
        """
        if caller.quota is None or (most := caller.quota.posts_per_minute) is None:
            return
        window = self._windows.setdefault(most, Window(most, _MINUTE_S))
        if (wait_s := window.take(caller.owner, time.monotonic())) > 0:
            text = f"a key may make at most {most} requests for clips in a minute"
            raise RefusedError(429, "rate_limit_exceeded", text, wait_s)

    def check_room(self, caller: Caller, num_jobs: int) -> None:
        """Refuse further jobs where a key has as many as it may, or as many bytes.

        Raises:
            RefusedError: it has.
        """
        quota = caller.quota
        if quota is None:
            return
        # Said before files are looked at; whoever adds the jobs counts them once more.
        if quota.queued is not None:
            counts = self._store.counts(caller.owner)
            is_open = sum(counts[state] for state in (JobState.QUEUED, JobState.HELD, JobState.RUNNING))
            if is_open + num_jobs > quota.queued:
                text = f"a key may have at most {quota.queued} open clips, got {is_open} and {num_jobs} more"
                raise RefusedError(429, "too_many_queued", text, _MINUTE_S)
        if quota.kept_bytes is not None and (kept := self.kept_bytes(caller.owner)) >= quota.kept_bytes:
            text = f"a key may keep at most {quota.kept_bytes} bytes, got {kept}; delete clips to make room"
            raise RefusedError(429, "too_many_bytes", text)

    def spend(self, caller: Caller, seconds: float) -> str:
        """Note seconds of video that are asked for; return a name under which they can be refunded.

        Raises:
            RefusedError: they are more than are left of a day's.
        """
        if caller.quota is None or (most := caller.quota.seconds_per_day) is None:
            return ""
        name, left = self._spending.spend(caller.owner, seconds, most)
        if not name:
            text = f"a key may make at most {most:g} seconds of video in 24 hours, got {seconds:g} with {left:g} left"
            raise RefusedError(429, "too_many_seconds", text, _HOUR_S)
        return name

    def refund(self, name: str) -> None:
        """Take back what was noted for a request that came to nothing; "" is nothing."""
        if name:
            self._spending.refund(name)

    def kept_bytes(self, owner: str) -> int:
        """Return the bytes of all files of an owner."""
        return sum(self._size(name) for name in {name for job in self._jobs(owner) for name in files_of(job)})

    def _jobs(self, owner: str) -> Iterable[Job]:
        after: str | None = None
        while True:
            page = self._store.page(after=after, limit=MOST_PER_PAGE, owner=owner)
            yield from page.jobs
            if not page.has_more:
                return
            after = page.jobs[-1].id

    def _size(self, name: str) -> int:
        # Names are never used twice, so that a size stays.
        if name not in self._known:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            try:
                self._known[name] = self._sizes.size(name)
            except FileNotFoundError:
                return 0
        return self._known[name]


def files_of(job: Job) -> tuple[str, ...]:
    """Return the names of all files of a job."""
    return (*job.artifacts.values(), *job.order.inputs.values())
