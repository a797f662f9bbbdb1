"""Leases are renewed beside whatever the main thread does."""

import pytest
from sqlalchemy.exc import OperationalError

from mova.serve.jobs.records import Progress, Stop
from mova.serve.worker.leases import Leases
from serve_kit import order
from worker_kit import Bench


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def leases(bench):
    made = Leases(bench.store, bench.artifacts, "w", 0.5)
    made.start()
    yield made
    made.close()


def claimed(bench):
    bench.store.add([order()])
    return bench.store.claim("w", "tiny", 0.5)


def test_a_lease_lasts_while_nobody_does_anything(bench, leases):
    (job,) = claimed(bench)
    leases.take([job])
    leases.tell(job.id, Progress("sampling", 1, 2, 44.0))
    leases.tell("video_0", Progress())
    until = job.lease_until_s + 1.0
    bench.until(lambda: bench.store.get(job.id).lease_until_s > until)
    assert bench.store.get(job.id).progress == Progress("sampling", 1, 2, 44.0)
    assert leases.stops() == {}
    leases.drop(job.id)
    bench.until(lambda: bench.store.expire() == [job.id])


def test_a_cancel_is_heard(bench, leases):
    (job,) = claimed(bench)
    leases.take([job])
    bench.store.cancel(job.id)
    bench.until(lambda: leases.stops() == {job.id: Stop.CANCELLED})


def test_a_preview_is_shown(bench, leases):
    (job,) = claimed(bench)
    leases.take([job])
    name = bench.artifacts.made_by(job.id, 1, "preview", "webp")
    leases.show(job.id, name, b"x")
    bench.until(lambda: bench.store.get(job.id).artifacts == {"preview": name})
    assert bench.artifacts.read_all(name) == b"x"


def test_with_a_database_that_stays_away_the_job_is_given_up(bench, leases, monkeypatch):
    (job,) = claimed(bench)
    leases.take([job])

    def away(*_):
        raise OperationalError("UPDATE", {}, Exception("disk I/O error"))

    monkeypatch.setattr(bench.store, "renew", away)
    bench.until(lambda: leases.stops() == {job.id: Stop.LOST})


def test_a_worker_says_how_it_is(bench, leases):
    leases.say("idle", device="cpu")
    (found,) = bench.store.workers()
    assert (found.state, found.facts) == ("idle", {"device": "cpu"})
    bench.until(lambda: bench.store.workers()[0].seen_s > found.seen_s)
