"""Orders, clocks and stores of jobs for tests."""

from contextlib import contextmanager

from mova.database.database import Database
from mova.serve.jobs.records import ClipOrder
from mova.serve.jobs.rows import TABLES
from mova.serve.jobs.store import JobStore


class Clock:
    """A clock that is set by hand, in seconds since 1970."""

    def __init__(self, now=1e9):
        self.now = now

    def __call__(self):
        return self.now


def order(prompt="a red ball bounces on wood", **values):
    """Return an order for a clip of `tiny`."""
    return ClipOrder(**{"prompt": prompt, "seed": 1, "model": "tiny", **values})


@contextmanager
def opened(url, clock=None, **options):
    """Give a store over a database, whose tables are made where they are missing."""
    database = Database(url, TABLES)
    database.upgrade()
    try:
        yield JobStore(database, clock or Clock(), **options)
    finally:
        database.close()


class NoFiles:
    """Files of jobs, of which only the names are kept."""

    def __init__(self):
        self.removed, self.jobs = [], []

    def delete(self, name):
        self.removed.append(name)

    def delete_job(self, job):
        self.jobs.append(job)
