"""The loop of a worker: whatever happens to a job, it ends once or is there for others."""

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from mova.media.write import read_metadata
from mova.serve.jobs.records import JobState
from serve_kit import order
from worker_kit import Bench, Moody


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path, worker={"batch": 3})
    yield made
    made.close()


def add(bench, *prompts, **values):
    return [bench.store.add([order(prompt, **values)])[0].id for prompt in prompts]


def test_a_job_becomes_a_clip_and_nothing_else_is_left(bench):
    (name,) = add(bench, "a ball", seed=7)
    with bench.working(Moody(0.0)):
        (job,) = bench.ended(name)
    assert (job.state, job.attempt, job.progress.percent, job.facts) == (JobState.COMPLETED, 1, 100.0, {"seed": 7})
    assert set(job.artifacts) == {"video", "thumbnail", "waveform", "spritesheet"}
    assert bench.files() == sorted(f"artifacts/{one}" for one in job.artifacts.values())
    assert read_metadata(bench.artifacts.path(job.artifacts["video"])) == {"prompt": "a ball", "seed": 7}
    assert [(one.name, one.state) for one in bench.store.workers()] == [("w", "ended")]


def test_progress_is_seen_while_a_job_runs(bench):
    (name,) = add(bench, "a ball")
    with bench.working(Moody(0.2, steps=20)):
        bench.until(lambda: bench.store.get(name).progress.done > 2)
        job = bench.store.get(name)
        bench.store.cancel(name)
    assert (job.progress.stage, job.progress.total) == ("sampling", 20)
    assert 3 < job.progress.percent < 85
    assert job.progress.left_s > 0


def test_a_clip_is_seen_as_it_forms(bench):
    made = []

    class Showing(Moody):
        def make(self, tasks, watch):
            for place in range(len(tasks)):
                for _ in range(3):
                    watch.on_preview(place, lambda: made.append(1) or np.zeros((2, 8, 8, 3), np.uint8))
            return super().make(tasks, watch)

    (name,) = add(bench, "a ball")
    with bench.working(Showing(0.05, steps=1000)):
        bench.until(lambda: "preview" in bench.store.get(name).artifacts)
        shown = bench.artifacts.read_all(bench.store.get(name).artifacts["preview"])
        bench.store.cancel(name)
        (job,) = bench.ended(name)
    assert (shown[8:12], made, job.artifacts) == (b"WEBP", [1], {})
    assert bench.files() == []


def test_a_job_that_is_cancelled_stops_between_two_steps(bench):
    (name,) = add(bench, "a ball")
    with bench.working(Moody(0.05, steps=10_000)):
        bench.until(lambda: bench.store.get(name).state == JobState.RUNNING)
        bench.store.cancel(name)
        (job,) = bench.ended(name)
    assert (job.state, job.error.code, job.artifacts) == (JobState.CANCELLED, "cancelled", {})
    bench.store.doom(name)
    assert bench.store.remove_doomed(bench.artifacts) == 1
    assert bench.files() == []


def test_a_worker_that_is_stopped_gives_its_job_to_the_next_which_goes_on(bench):
    (name,) = add(bench, "a ball")
    with bench.working(Moody(0.02, steps=100)):
        bench.until(lambda: bench.artifacts.exists(bench.artifacts.checkpoint(name)))
    job = bench.store.get(name)
    assert (job.state, job.crashes) == (JobState.QUEUED, 0)
    seen = []

    class Next(Moody):
        def make(self, tasks, watch):
            seen.append(watch.resume_from)
            return super().make(tasks, watch)

    with bench.working(Next(0.0, steps=100), name="v"):
        (job,) = bench.ended(name)
    assert b"done" in seen[0]
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert not bench.artifacts.exists(bench.artifacts.checkpoint(name))


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("fail: disk full", "disk_full"),
        ("fail: memory", "out_of_memory"),
        ("fail: wrong", "wrong_order"),
        ("fail: infinite", "not_finite"),
        ("fail: bug", "failed"),
    ],
)
def test_a_job_that_cannot_be_made_fails_with_a_reason_and_the_next_one_is_made(bench, prompt, code):
    bad, good = add(bench, prompt, "a ball", inputs={})
    bench.store.edit(good, order("a ball", settings={"num_frames": 5}))
    with bench.working(Moody(0.0)):
        failed, made = bench.ended(bad, good)
    assert (failed.state, failed.error.code) == (JobState.FAILED, code)
    assert "secret" not in failed.error.message
    assert made.state == JobState.COMPLETED
    assert all(good in name for name in bench.files())


def test_a_device_that_is_gone_ends_the_worker(bench):
    (name,) = add(bench, "fail: gone")
    with bench.working(Moody(0.0)):
        bench.ended(name)
        bench.until(lambda: [one.state for one in bench.store.workers()] == ["failed"])
    assert "must still compute" in str(bench.errors[0])


def test_an_input_that_is_gone_is_said(bench):
    (name,) = add(bench, "a ball", inputs={"image": bench.artifacts.new_upload("png")})
    with bench.working(Moody(0.0)):
        (job,) = bench.ended(name)
    assert (job.state, job.error.code) == (JobState.FAILED, "input_gone")


def test_a_clip_that_is_refused_is_not_kept(bench):
    (name,) = add(bench, "a ball")
    with bench.working(Moody(0.0), refuses=lambda path: "No." if path.is_file() else None):
        (job,) = bench.ended(name)
    assert (job.error.code, job.error.message, bench.files()) == ("content_policy", "No.", [])


def test_a_disk_that_is_full_leaves_nothing_half_written(bench, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (name,) = add(bench, "a ball")
    monkeypatch.setattr("shutil.copyfile", full)
    with bench.working(Moody(0.0)):
        (job,) = bench.ended(name)
    assert (job.state, job.error.code) == (JobState.FAILED, "disk_full")
    assert [one for one in bench.files() if "checkpoint" not in one] == []


def test_jobs_that_go_together_are_made_in_one_run(bench):
    names = add(bench, *(f"ball {number}" for number in range(4)))
    runs = []

    class Counting(Moody):
        def make(self, tasks, watch):
            runs.append(len(tasks))
            return super().make(tasks, watch)

    with bench.working(Counting(0.0)):
        jobs = bench.ended(*names)
    assert runs == [3, 1]
    assert {job.state for job in jobs} == {JobState.COMPLETED}


@pytest.mark.parametrize("how", ["fail batch: wrong", "fail batch: infinite"])
def test_a_batch_that_fails_is_made_one_by_one(bench, how):
    names = add(bench, "ball", how, "fail: wrong")
    with bench.working(Moody(0.0)):
        jobs = bench.ended(*names)
    assert [job.state for job in jobs] == [JobState.COMPLETED, JobState.COMPLETED, JobState.FAILED]


def test_a_cancel_in_a_batch_ends_one_of_it(bench):
    names = add(bench, "ball 1", "ball 2")
    with bench.working(Moody(0.02, steps=100)):
        bench.until(lambda: all(bench.store.get(name).state == JobState.RUNNING for name in names))
        bench.store.cancel(names[0])
        jobs = bench.ended(*names)
    assert [job.state for job in jobs] == [JobState.CANCELLED, JobState.COMPLETED]
    assert all(names[1] in name for name in bench.files())


def test_a_database_that_is_away_for_a_moment_loses_nothing(bench, monkeypatch):
    (name,) = add(bench, "a ball")
    finish, calls = bench.store.finish, []

    def flaky(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        done = finish(*arguments)
        if len(calls) == 2:
            raise OperationalError("COMMIT", {}, Exception("the reply is lost"))
        return done

    monkeypatch.setattr(bench.store, "finish", flaky)
    with bench.working(Moody(0.0)):
        (job,) = bench.ended(name)
        bench.until(lambda: len(calls) == 3)
    assert job.state == JobState.COMPLETED
    assert all(bench.artifacts.exists(one) for one in job.artifacts.values())


def test_a_job_that_is_lost_to_another_worker_is_left_to_it(bench):
    (name,) = add(bench, "a ball")
    with bench.working(Moody(0.05, steps=200)):
        bench.until(lambda: bench.store.get(name).state == JobState.RUNNING)
        with bench.store.database.writing() as run:
            run.run("UPDATE jobs SET lease_owner = 'v'")
        bench.until(lambda: [one.state for one in bench.store.workers()] == ["idle"])
    job = bench.store.get(name)
    assert (job.state, job.lease_owner, job.artifacts) == (JobState.RUNNING, "v", {})
