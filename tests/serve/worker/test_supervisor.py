"""Workers are started, woken, and started again."""

import os
import signal

import pytest

from mova.serve.jobs.records import JobState
from mova.serve.worker.supervisor import Supervisor
from serve_kit import order
from worker_kit import MOODY, Bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("bench"), worker={"poll_s": 60.0, "crashes": 2})
    yield made
    made.close()


@pytest.fixture(scope="module")
def supervisor(bench):
    made = Supervisor(bench.settings, bench.store, MOODY, {"step_s": 0.02, "steps": 10})
    assert made.problem == "the model is being loaded"
    made.start()
    assert made.wait_ready(300)
    yield made
    made.stop()
    assert made.process_id is None


def test_a_worker_that_is_woken_takes_a_job_at_once(bench, supervisor):
    (job,) = bench.store.add([order("a ball")])
    supervisor.wake()
    (job,) = bench.ended(job.id)
    assert job.state == JobState.COMPLETED
    assert supervisor.problem == ""


def test_a_worker_that_is_killed_is_replaced_and_its_job_goes_on(bench, supervisor):
    (job,) = bench.store.add([order("another ball", settings={"num_frames": 5})])
    before, restarts = supervisor.process_id, supervisor.restarts
    supervisor.wake()
    bench.until(lambda: bench.artifacts.exists(bench.artifacts.checkpoint(job.id)))
    os.kill(before, signal.SIGKILL)
    (job,) = bench.ended(job.id)
    assert (job.state, job.attempt, job.crashes) == (JobState.COMPLETED, 2, 1)
    assert supervisor.process_id != before
    assert supervisor.restarts == restarts + 1


def test_a_job_that_kills_its_worker_is_put_aside(bench, supervisor):
    bad, good = bench.store.add([order("die"), order("a ball")])
    supervisor.wake()
    failed, made = bench.ended(bad.id, good.id)
    assert (failed.state, failed.error.code, failed.crashes) == (JobState.FAILED, "quarantined", 2)
    assert made.state == JobState.COMPLETED


def test_waking_never_waits(bench, supervisor):
    """Also where the worker reads nothing, and the pipe is full."""
    stopped = supervisor.process_id
    os.kill(stopped, signal.SIGSTOP)
    try:
        for _ in range(100_000):
            supervisor.wake()
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_a_worker_that_cannot_load_says_why(tmp_path):
    bench = Bench(tmp_path, model="mova-nothing", worker={"poll_s": 0.1})
    made = Supervisor(bench.settings, bench.store)
    made.start()
    bench.until(lambda: "mova-nothing" in made.problem, 300)
    assert not made.is_ready
    made.stop()
    bench.close()
