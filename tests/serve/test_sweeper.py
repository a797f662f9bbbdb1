"""What has to be done now and then."""

import time

from mova.serve import sweeper
from mova.serve.artifacts import Artifacts
from mova.serve.jobs.records import NO_PROGRESS, JobState
from mova.serve.sweeper import Sweeper
from serve_kit import Clock, opened, order
from worker_kit import Bench


def test_leases_clips_and_files_come_to_their_end(tmp_path):
    bench = Bench(tmp_path, retention={"keep_hours": 1e-7})
    queued = []
    looks = Sweeper(bench.store, bench.artifacts, orphan_s=-60.0, every_s=0.05, on_queued=lambda: queued.append(1))
    lost, done = (bench.store.add([order(inputs={"image": bench.artifacts.new_upload("png")})])[0] for _ in range(2))
    for job in (lost, done):
        bench.artifacts.put(job.order.inputs["image"], b"x")
    assert [job.id for job in bench.store.claim("w", "tiny", -1.0)] == [lost.id]
    bench.store.cancel(done.id)
    orphan = bench.artifacts.new_upload("png")
    bench.artifacts.put(orphan, b"x")
    looks.start()
    bench.until(lambda: bench.store.get(done.id) is None and bench.store.get(lost.id).state == JobState.QUEUED)
    bench.until(lambda: bench.files() == [f"artifacts/{lost.order.inputs['image']}"])
    looks.stop()
    assert queued == [1]
    bench.close()


def test_a_sweep_that_fails_is_followed_by_another(tmp_path, caplog, monkeypatch):
    bench = Bench(tmp_path)
    looks = Sweeper(bench.store, bench.artifacts, every_s=0.02)
    calls = []
    monkeypatch.setattr(bench.store, "expire", lambda: calls.append(1) or 1 / 0)
    looks.start()
    bench.until(lambda: len(calls) > 2)
    looks.stop()
    assert "a sweep has failed" in caplog.text
    bench.close()


def test_no_worker_is_lost_because_the_machine_was_asleep(tmp_path, monkeypatch):
    now = Clock()
    with opened(f"sqlite:///{tmp_path}/jobs.sqlite3", now) as store:
        monkeypatch.setattr(sweeper, "_PATIENCE_S", 0.2)
        looks = Sweeper(store, Artifacts(str(tmp_path / "artifacts")), clock=lambda: now() + time.monotonic())
        job = store.add([order()])[0]
        store.claim("w", "tiny", 30.0)
        looks.sweep()
        now.now += 3600.0
        looks.sweep()
        assert store.get(job.id).state == JobState.RUNNING
        # It is awake too.
        assert store.renew("w", 30.0, {job.id: NO_PROGRESS}) == {}
        time.sleep(0.25)
        looks.sweep()
        assert store.get(job.id).state == JobState.RUNNING
        # One that does not come again is lost a little later.
        now.now += 3600.0
        looks.sweep()
        time.sleep(0.25)
        looks.sweep()
        assert store.get(job.id).state == JobState.QUEUED
