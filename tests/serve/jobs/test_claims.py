"""What workers do to jobs: one has a job at a time, and what has ended stays ended."""

import pytest

from mova.serve.jobs.records import NO_PROGRESS, JobError, JobState, Progress, Stop
from serve_kit import Clock, opened, order


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(empty_url, clock):
    with opened(empty_url, clock, max_crashes=2, keep_s=1000.0) as made:
        yield made


def claimed(store, worker="w", **options):
    return [job.id for job in store.claim(worker, "tiny", 60.0, **options)]


def test_a_job_is_claimed_once_and_in_turn(store, clock):
    names = [job.id for job in store.add([order()] * 2)]
    clock.now += 5
    (job,) = store.claim("w", "tiny", 60.0)
    assert (job.id, job.state, job.attempt, job.lease_owner) == (names[0], JobState.RUNNING, 1, "w")
    assert (job.started_s, job.lease_until_s) == (clock.now, clock.now + 60)
    assert claimed(store, "v") == names[1:]
    assert claimed(store, "u") == []


def test_jobs_of_another_model_are_left_alone(store):
    store.add([order(model="large")])
    assert claimed(store) == []
    assert len(store.claim("w", "large", 60.0)) == 1


def test_a_batch_is_of_one_kind_and_begins_with_who_is_next(store):
    small, large = {"num_frames": 5}, {"num_frames": 9}
    made = store.add([order(settings=one, seed=seed) for seed, one in enumerate((small, large, small, small, large))])
    names = [job.id for job in made]
    assert claimed(store, most=2) == [names[0], names[2]]
    assert claimed(store, most=4) == [names[1], names[4]]
    assert claimed(store, most=4) == [names[3]]


def test_with_inputs_and_after_a_crash_a_job_goes_alone(store):
    given = store.add([order(inputs={"image": "a"})] * 2)
    assert claimed(store, most=4) == [given[0].id]
    assert claimed(store, most=4) == [given[1].id]
    names = [job.id for job in store.add([order()] * 3)]
    assert claimed(store, "v", most=2) == names[:2]
    store.lose("v")
    assert claimed(store, most=4) == names[:1]
    assert claimed(store, most=4) == names[1:2]
    assert claimed(store, most=4) == names[2:]


def test_a_lease_that_is_renewed_lasts_and_says_how_far_it_is(store, clock):
    (name,) = (job.id for job in store.add([order()]))
    assert claimed(store) == [name]
    clock.now += 50
    progress = Progress("sampling", 3, 8, 37.5, 12.0)
    assert store.renew("w", 60.0, {name: progress}) == {}
    clock.now += 50
    assert store.expire() == []
    assert store.get(name).progress == progress
    assert store.renew("w", 60.0, {name: NO_PROGRESS}) == {}
    assert store.get(name).progress == NO_PROGRESS


def test_a_lease_that_runs_out_is_lost_for_good(store, clock):
    (name,) = (job.id for job in store.add([order()]))
    assert claimed(store) == [name]
    clock.now += 61
    assert store.expire() == [name]
    assert (store.get(name).state, store.get(name).crashes) == (JobState.QUEUED, 1)
    assert claimed(store, "v") == [name]
    assert store.renew("w", 60.0, {name: NO_PROGRESS}) == {name: Stop.LOST}
    assert not store.finish(name, "w", {"video": "x"}, {})
    assert not store.fail(name, "w", JobError("a", "b"))
    assert not store.release(name, "w")
    assert store.finish(name, "v", {"video": "y"}, {"seed": 1})
    job = store.get(name)
    assert (job.state, job.attempt, job.artifacts, job.facts) == (JobState.COMPLETED, 2, {"video": "y"}, {"seed": 1})
    assert (job.progress.percent, job.lease_owner, job.expires_s) == (100.0, "", clock.now + 1000)


@pytest.mark.parametrize(("how", "code"), [("expire", "worker_lost"), ("lose", "quarantined")])
def test_a_job_that_ends_its_worker_is_given_up(store, clock, how, code):
    (name,) = (job.id for job in store.add([order()]))
    for state in (JobState.QUEUED, JobState.FAILED):
        assert claimed(store) == [name]
        clock.now += 61
        assert (store.expire() if how == "expire" else store.lose("w")) == [name]
        assert store.get(name).state == state
    assert store.get(name).error.code == code
    assert "lost 2 times" in store.get(name).error.message
    assert claimed(store) == []


def test_a_job_that_fails_says_why(store, clock):
    (name,) = (job.id for job in store.add([order()]))
    assert claimed(store) == [name]
    assert store.fail(name, "w", JobError("out_of_memory", "It is too large."), {"peak": 3})
    job = store.get(name)
    assert (job.state, job.error, job.facts) == (
        JobState.FAILED,
        JobError("out_of_memory", "It is too large."),
        {"peak": 3},
    )
    assert job.completed_s == clock.now
    assert not store.finish(name, "w", {}, {})


def test_a_job_that_is_given_back_keeps_its_place(store):
    names = [job.id for job in store.add([order()] * 2)]
    assert claimed(store) == names[:1]
    assert store.release(names[0], "w")
    assert claimed(store) == names[:1]
    assert store.get(names[0]).crashes == 0


@pytest.mark.parametrize("end", ["finish", "fail", "release", "lose"])
def test_a_cancel_before_the_end_wins(store, end):
    (name,) = (job.id for job in store.add([order()]))
    assert claimed(store) == [name]
    assert store.cancel(name) == JobState.RUNNING
    assert store.renew("w", 60.0, {name: NO_PROGRESS}) == {name: Stop.CANCELLED}
    if end == "finish":
        assert not store.finish(name, "w", {"video": "x"}, {})
        assert store.get(name).state == JobState.RUNNING
        assert store.release(name, "w")
    elif end == "fail":
        assert store.fail(name, "w", JobError("a", "b"))
    elif end == "release":
        assert store.release(name, "w")
    else:
        assert store.lose("w") == [name]
    assert (store.get(name).state, store.get(name).error.code) == (JobState.CANCELLED, "cancelled")


def test_a_cancel_after_the_end_changes_nothing(store):
    (name,) = (job.id for job in store.add([order()]))
    assert claimed(store) == [name]
    assert store.finish(name, "w", {"video": "x"}, {})
    assert store.cancel(name) == JobState.COMPLETED
    assert (store.get(name).state, store.get(name).error) == (JobState.COMPLETED, None)


def test_workers_say_how_they_are(store, clock):
    store.report("w", "loading", {"model": "tiny"})
    clock.now += 1
    store.report("v", "idle", {})
    store.report("w", "idle", {"model": "tiny", "device": "cpu"})
    assert [(one.name, one.state) for one in store.workers()] == [("v", "idle"), ("w", "idle")]
    assert store.workers()[1].facts == {"model": "tiny", "device": "cpu"}
    clock.now += 4000
    store.forget_old()
    assert store.workers() == []
