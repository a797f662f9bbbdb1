"""Generators, workers and servers of jobs for tests: everything but the model and HTTP."""

import errno
import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from mova.errors import ConfigError, NumericalError
from mova.serve.artifacts import Artifacts
from mova.serve.jobs.records import JobState
from mova.serve.settings import ServeSettings
from mova.serve.worker.loop import Habits, Worker
from mova.serve.worker.process import open_store
from mova.serve.worker.stand_in import StandIn
from mova.serve.worker.supervisor import Supervisor
from mova.serve.worker.wake import Wake

_ERRORS = {
    "disk full": lambda: OSError(errno.ENOSPC, "No space left on device", "/secret/place"),
    "memory": MemoryError,
    "wrong": lambda: ConfigError("size must be 32x32, got /secret/place/image.png"),
    "infinite": lambda: NumericalError("latents are not finite"),
    "gone": lambda: RuntimeError("the device is gone"),
    "bug": lambda: KeyError("/secret/place"),
}


class Moody(StandIn):
    """Fails as its prompts say: `fail: NAME`, `fail once: NAME` or `die`."""

    failed = ()
    is_healthy = True

    def make(self, tasks, watch):
        for task in tasks:
            how, _, name = task.order.prompt.partition(": ")
            if how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "gone":
                self.is_healthy = False
            if how == "fail" or (how == "fail batch" and len(tasks) > 1):
                raise _ERRORS[name]()
        return super().make(tasks, watch)

    def check_health(self):
        if not self.is_healthy:
            raise RuntimeError("the device is gone")


def make_moody(settings, options):
    """Return one with these options, for a worker of its own process."""
    return Moody(options.get("step_s", 0.01), options.get("steps", 10))


MOODY = "worker_kit:make_moody"


def serve_settings(folder, **values):
    """Return settings of a server whose data are in a folder."""
    worker = {"lease_s": 5.0, "crashes": 3, "poll_s": 0.2, **values.pop("worker", {})}
    return ServeSettings.model_validate(
        {"model": "tiny", "data": folder, "checkpoint_every": 1, **values, "worker": worker}
    )


class Bench:
    """A store, artifacts and workers in threads of this process."""

    def __init__(self, folder, **values):
        self.settings = serve_settings(folder, **values)
        self.store = open_store(self.settings)
        self.artifacts = Artifacts(self.settings.artifacts_url())
        self.folder = folder

    def close(self):
        self.store.database.close()

    def worker(self, generator, name="w", refuses=lambda _: None):
        own, section = Wake(), self.settings.worker
        scratch = self.folder / "scratch" / name
        habits = Habits(name, self.settings.model_name(), section.lease_s, section.batch, 1, 0.05, scratch, refuses)
        return Worker(habits, self.store, self.artifacts, generator, own), own

    @contextmanager
    def working(self, generator, **options):
        """Let a worker work in a thread for the time of the block; gives what stops it."""
        worker, wake = self.worker(generator, **options)
        errors = []

        def run():
            try:
                worker.run()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield wake
        finally:
            wake.stop()
            thread.join(60)
            assert not thread.is_alive()
            self.errors = errors

    def until(self, is_so, most_s=600.0):
        """Wait until something is so."""
        deadline = time.monotonic() + most_s
        while not is_so():
            if time.monotonic() > deadline:
                pytest.fail(f"it did not become so: {self.store.counts()}")
            time.sleep(0.01)

    def ended(self, *names, most_s=600.0):
        """Wait for jobs to end; return them."""
        self.until(lambda: all(self.store.get(name).state.is_final for name in names), most_s)
        return [self.store.get(name) for name in names]

    def files(self):
        return sorted(
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.is_file() and "jobs.sqlite3" not in path.name
        )


def killed_once(bench, asked):
    """Make a clip whose worker is killed as soon as something of it is kept; return the bytes of its file."""
    supervisor = Supervisor(bench.settings, bench.store)
    supervisor.start()
    try:
        assert supervisor.wait_ready(600), supervisor.problem
        (job,) = bench.store.add([asked])
        supervisor.wake()
        bench.until(lambda: bench.artifacts.exists(bench.artifacts.checkpoint(job.id)), 300)
        os.kill(supervisor.process_id, signal.SIGKILL)
        (job,) = bench.ended(job.id, most_s=600)
        assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
        return bench.artifacts.path(job.artifacts["video"]).read_bytes()
    finally:
        supervisor.stop()
        bench.close()
