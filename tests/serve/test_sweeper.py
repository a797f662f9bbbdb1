"""What has to be done now and then."""

from mova.serve.jobs.records import JobState
from mova.serve.sweeper import Sweeper
from serve_kit import order
from worker_kit import Bench


def test_leases_clips_and_files_come_to_their_end(tmp_path):
    bench = Bench(tmp_path, retention={"keep_hours": 1e-7})
    queued = []
    sweeper = Sweeper(bench.store, bench.artifacts, orphan_s=-60.0, every_s=0.05, on_queued=lambda: queued.append(1))
    lost, done = (bench.store.add([order(inputs={"image": bench.artifacts.new_upload("png")})])[0] for _ in range(2))
    for job in (lost, done):
        bench.artifacts.put(job.order.inputs["image"], b"x")
    assert [job.id for job in bench.store.claim("w", "tiny", -1.0)] == [lost.id]
    bench.store.cancel(done.id)
    orphan = bench.artifacts.new_upload("png")
    bench.artifacts.put(orphan, b"x")
    sweeper.start()
    bench.until(lambda: bench.store.get(done.id) is None and bench.store.get(lost.id).state == JobState.QUEUED)
    bench.until(lambda: bench.files() == [f"artifacts/{lost.order.inputs['image']}"])
    sweeper.stop()
    assert queued == [1]
    bench.close()


def test_a_sweep_that_fails_is_followed_by_another(tmp_path, caplog, monkeypatch):
    bench = Bench(tmp_path)
    sweeper = Sweeper(bench.store, bench.artifacts, every_s=0.02)
    calls = []
    monkeypatch.setattr(bench.store, "expire", lambda: calls.append(1) or 1 / 0)
    sweeper.start()
    bench.until(lambda: len(calls) > 2)
    sweeper.stop()
    assert "a sweep has failed" in caplog.text
    bench.close()
