"""Servers and workers are killed at random moments under load: every job that was accepted ends once."""

import contextlib
import os
import random
import signal
import time

import psutil
import pytest

from job_server import JobServer
from mova.media.write import read_metadata
from mova.serve.jobs.records import JobState
from serve_kit import order
from worker_kit import MOODY, Bench


def run_killing(folder, kills, seed):
    """Add jobs and kill; return what was added and the bench."""
    random.seed(seed)
    bench = Bench(folder, worker={"lease_s": 2.0, "crashes": 10, "poll_s": 0.1})
    server = JobServer(bench.settings, MOODY, step_s=0.02, steps=15)
    names, dead = [], set()
    bench.until(lambda: server.workers)
    while kills:
        for _ in range(random.randint(0, 2)):
            names += [job.id for job in bench.store.add([order(f"ball {len(names)}", seed=len(names))])]
        with contextlib.suppress(BrokenPipeError):
            server.wake()
        if random.random() < 0.7:
            seen = server.workers
            bench.until(lambda seen=seen: seen and seen[-1] not in dead)
        time.sleep(random.uniform(0.0, 0.6))
        worker = server.workers[-1] if server.workers else None
        what = random.choice(["worker", "worker", "server", "both"])
        if what == "worker" and (worker is None or worker in dead or not psutil.pid_exists(worker)):
            continue
        kills -= 1
        if what != "server" and worker is not None:
            dead.add(worker)
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        if what != "worker":
            server.kill()
            server = JobServer(bench.settings, MOODY, step_s=0.02, steps=15)
    try:
        bench.ended(*names, most_s=600)
        bench.until(lambda: all(one.state != "busy" for one in bench.store.workers() if one.seen_s > time.time() - 2))
    finally:
        server.stop()
    return bench, names


def check(bench, names):
    """Every job has ended, with its own clip or with a reason, and no file is left of any attempt but the last."""
    jobs = [bench.store.get(name) for name in names]
    assert all(job.state in (JobState.COMPLETED, JobState.FAILED) for job in jobs)
    assert all(job.error is not None for job in jobs if job.state == JobState.FAILED)
    kept = set()
    for number, job in enumerate(jobs):
        if job.state == JobState.COMPLETED:
            video = bench.artifacts.path(job.artifacts["video"])
            assert read_metadata(video) == {"prompt": f"ball {number}", "seed": number}
            kept |= set(job.artifacts.values())
    bench.until(lambda: {one.removeprefix("artifacts/") for one in bench.files() if one.startswith("art")} == kept)
    assert len(bench.store.page(limit=100).jobs) == min(100, len(names))
    for name in names:
        bench.store.doom(name)
    while bench.store.remove_doomed(bench.artifacts):
        pass
    assert [one for one in bench.files() if one.startswith("artifacts")] == []
    bench.close()
    return jobs


def test_a_handful_of_kills_loses_no_job(tmp_path):
    bench, names = run_killing(tmp_path, 2, seed=0)
    check(bench, names)


@pytest.mark.slow
def test_fifty_kills_lose_no_job(tmp_path):
    bench, names = run_killing(tmp_path, 50, seed=1)
    jobs = check(bench, names)
    assert len(jobs) >= 30
    assert sum(job.attempt > 1 for job in jobs) >= 5
