"""The end of jobs: the row and the files go together, whatever happens in between."""

import pytest

from mova.serve.jobs.records import NO_PROGRESS, JobState, Stop
from serve_kit import Clock, NoFiles, opened, order


class Stubborn(NoFiles):
    def delete_job(self, job):
        raise OSError(28, f"read-only: {job}")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(empty_url, clock):
    with opened(empty_url, clock, keep_s=100.0) as made:
        yield made


def test_jobs_that_have_ended_are_kept_for_their_time(store, clock):
    done, waits = (job.id for job in store.add([order()] * 2))
    store.claim("w", "tiny", 60.0)
    store.finish(done, "w", {"video": "x"}, {})
    files = NoFiles()
    clock.now += 99
    assert store.doom_expired() == 0
    clock.now += 1
    assert store.doom_expired() == 1
    assert store.get(done) is None
    assert store.page().jobs == (store.get(waits),)
    assert store.remove_doomed(files) == 1
    assert files.jobs == [done]
    assert store.remove_doomed(files) == 0


def test_a_job_that_runs_is_stopped_first(store):
    (name,) = (job.id for job in store.add([order()], "me"))
    store.claim("w", "tiny", 60.0)
    assert not store.doom(name, "other")
    assert store.doom(name, "me")
    files = NoFiles()
    assert store.remove_doomed(files) == 0
    assert store.get(name) is None
    assert store.renew("w", 60.0, {name: NO_PROGRESS}) == {name: Stop.CANCELLED}
    assert not store.finish(name, "w", {"video": "x"}, {})
    assert store.release(name, "w")
    assert store.remove_doomed(files) == 1
    assert store.counts() == dict.fromkeys(JobState, 0)


def test_files_that_cannot_be_removed_now_are_removed_later(store):
    (name,) = (job.id for job in store.add([order()]))
    store.doom(name)
    with pytest.raises(OSError, match="read-only"):
        store.remove_doomed(Stubborn())
    assert store.get(name) is None
    assert store.known_files()[0] == {name}
    assert store.remove_doomed(NoFiles()) == 1
    assert store.known_files()[0] == set()


def test_keys_of_requests_are_forgotten_after_a_day(store, clock):
    first = store.add([order()], key="once", body_sha256="x")
    clock.now += 24 * 3600 + 1
    store.forget_old()
    assert store.add([order()], key="once", body_sha256="y") != first
