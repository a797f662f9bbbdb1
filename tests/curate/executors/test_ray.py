"""The same recipe on a Ray cluster gives the same rows, whatever is ended on the way; counts add up there as well."""

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

import psutil
import pytest

from mova.curate.executors.local import LocalExecutor
from mova.curate.executors.ray import RayExecutor
from mova.curate.report.run import write_report
from mova.curate.runner import run_all
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips
from mova.curate.units import Patience
from mova.errors import DataError
from mova.scorers.base import Direction, Measure
from shared_curation import ToyCut, ToyScore, toy_run, write_sources

# What Ray says of itself is not about this project.
pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore:::ray.*")]


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two cores that is there before a run; its address."""
    if importlib.util.find_spec("ray") is None:
        if os.environ.get("MOVA_SERVICES") == "1":
            pytest.fail("Ray is needed here: pip install '.[ray]'")
        pytest.skip("needs Ray: pip install '.[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            patch.setenv(name, value)
        import ray

        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**29)
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = write_sources(tmp_path_factory.mktemp("footage"), 8)
    for word in ("corrupt", "gone", "unwanted"):
        (folder / f"x_{word}.txt").write_text(f"{word} x")
    (folder / "z_long.txt").write_text("40 long")
    return folder


@pytest.fixture(scope="module")
def plain(footage, tmp_path_factory):
    """The rows of an uninterrupted run in processes of this machine."""
    output = tmp_path_factory.mktemp("plain")
    return list(iter_clips(run_all(toy_run(footage, output, executor=LocalExecutor(2, Patience(3, 0.0))))))


def ray_run(footage, output, **changes):
    executor = RayExecutor(patience=Patience(3, 0.0), portion=changes.pop("portion", 5))
    return run_all(toy_run(footage, output, executor=executor, **changes))


def workers_of(process):
    """Processes of a cluster, started by this or another process, that do units at this moment."""
    found = []
    for child in process.children(recursive=True):
        try:
            if child.cmdline()[:1] and child.cmdline()[0].startswith("ray::MapBatches"):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_a_cluster_that_is_there_gives_the_rows_of_local_processes_and_goes_on(cluster, footage, plain, tmp_path):
    import ray

    told = []
    table = ray_run(footage, tmp_path, on_progress=told.append)
    assert list(iter_clips(table)) == plain
    stages = json.loads((tmp_path / "summary.json").read_text())["stages"]
    for counts in stages.values():
        assert counts["in"] == counts["kept"] + counts["rejected"] + counts["failed"]
    assert [stages[name]["in"] for name in ("score", "verdicts", "caption")] == [
        stages[name]["kept"] for name in ("cut", "score", "verdicts")
    ]
    for stage in ("cut", "score", "caption"):
        steps = [progress for progress in told if progress.stage == stage]
        assert len(steps) > 2
        assert steps[-1].done == steps[-1].total
    assert list((tmp_path / "tmp").iterdir()) == []
    assert ray.is_initialized()


def test_the_report_of_a_run_on_a_cluster_adds_up(cluster, footage, tmp_path):
    measures = [Measure(name, "", Direction.NEITHER, f"What {name} is.") for name in ("loudness", "silence_share")]
    ray_run(footage, tmp_path, finish=lambda _: write_report(tmp_path, measures))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "summary.json").read_text())["stages"]
    for name, heading in (("cut", "Stage 1: cut"), ("verdicts", "Stage 2: verdicts"), ("caption", "Stage 3: caption")):
        found = [
            int(number) for number in re.findall(r">(\d+)</td>", re.search(rf">{heading}</th>(.*?)</tr>", page)[1])
        ]
        assert found == [summary[name][key] for key in ("in", "kept", "rejected", "failed")]
        assert found[0] == sum(found[1:])
    assert "x_corrupt.txt" in page


def test_memory_of_the_driver_grows_little_with_the_units(cluster, tmp_path):
    peaks = []
    for count in (200, 800):
        job = "import sys, driver_jobs; driver_jobs.main(*sys.argv[1:])"
        command = [sys.executable, "-c", job, "ray", str(count), "100", str(tmp_path / str(count))]
        out = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
        done, peak = map(int, out.split())
        assert done == count
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 32e6


def test_workers_that_are_killed_change_nothing_of_the_table(cluster, footage, plain, tmp_path):
    done = threading.Event()
    killed = []
    chance = random.Random(20)

    def kill():
        while not done.wait(0.2 + chance.random()):
            if len(killed) < 5 and (found := workers_of(psutil.Process())):
                victim = chance.choice(found)
                victim.kill()
                killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        # Chance may end one unit twice; it must not be set aside for it.
        executor = RayExecutor(patience=Patience(9, 0.0))
        table = run_all(
            toy_run(footage, tmp_path, executor=executor, cut=ToyCut(pause_s=0.2), score=ToyScore(pause_s=1.0))
        )
    finally:
        done.set()
        killer.join()
    assert len(killed) == 5
    assert list(iter_clips(table)) == plain


def test_a_unit_that_ends_each_of_its_workers_is_set_aside_and_all_others_are_done(cluster, tmp_path):
    footage = write_sources(tmp_path / "in", 3)
    (footage / "poison.txt").write_text("poison x")
    ray_run(footage, tmp_path / "out")
    sources = {source.uri.rpartition("/")[2]: source for source in iter_sources(tmp_path / "out" / "sources.parquet")}
    (reason,) = sources.pop("poison.txt").reasons
    assert reason.startswith("worker_lost: the process that worked on it ended 3 times")
    assert {str(source.state) for source in sources.values()} == {"kept"}


def test_drivers_that_are_killed_one_after_another_leave_what_the_last_one_completes(cluster, footage, plain, tmp_path):
    chance = random.Random(20)
    begun = []
    for _ in range(5):
        with driver(footage, tmp_path / "out", cluster) as process:
            count = chance.randint(1, 6)
            lines = [line for line, _ in zip(process.stdout, range(count), strict=False)]
            assert lines[0].startswith("cut 0") or begun, lines
            begun.append(lines)
            process.kill()
    table = ray_run(footage, tmp_path / "out")
    assert list(iter_clips(table)) == plain


def test_an_interruption_stops_the_units_and_leaves_what_is_done(cluster, footage, plain, tmp_path):
    def interrupt(progress):
        if progress.stage == "cut" and progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ray_run(footage, tmp_path, on_progress=interrupt, cut=ToyCut(pause_s=0.3), portion=100)
    deadline = time.monotonic() + 60
    while workers_of(psutil.Process()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers_of(psutil.Process()) == []
    assert list(iter_clips(ray_run(footage, tmp_path))) == plain


def test_a_folder_that_cannot_be_written_ends_the_run_with_what_to_do(cluster, footage, tmp_path):
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "units").write_text("in the way")
    with pytest.raises(DataError, match=r"must be writable and have room: .*run the same command again"):
        ray_run(footage, tmp_path)


def test_a_cluster_of_its_own_ends_with_the_run_and_with_a_driver_that_is_killed(footage, plain, tmp_path):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray: pip install '.[ray]'")
    with driver(footage, tmp_path, "") as process:
        next(line for line in process.stdout if line.startswith("cut 2"))
        cluster = working(process.pid)
        assert cluster
        process.kill()
    assert gone(cluster)
    with driver(footage, tmp_path, "") as process:
        next(line for line in process.stdout if line.startswith("cut"))
        cluster = working(process.pid)
        assert process.stdout.read().endswith("end\n")
        assert process.wait() == 0
    assert gone(cluster)
    assert list(iter_clips(tmp_path / "clips.parquet")) == plain


def test_an_address_at_which_nothing_answers_is_named(tmp_path):
    pytest.importorskip("ray")
    code = (
        "import sys; from pathlib import Path; from mova.curate.executors.ray import RayExecutor; "
        "from mova.errors import ConfigError; from shared_curation import *\n"
        "try: RayExecutor('ray-is-not-here:1').run(ToyCut(), [None], Path(sys.argv[1]), print)\n"
        "except ConfigError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment(), capture_output=True, text=True)
    assert "execution.ray_address must be that of a Ray cluster that runs" in out.stdout, out.stderr


def environment():
    """For a cluster, whose workers import what this process does."""
    settings = {"RAY_raylet_start_wait_time_s": "200", "RAY_USAGE_STATS_ENABLED": "0"}
    settings["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    return {**os.environ, **settings, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def driver(footage, output, address):
    command = [sys.executable, "-m", "ray_jobs", str(footage), str(output), address]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)


def working(pid):
    """Processes that keep a cluster going or do units; Ray's agents end some minutes after them by themselves."""
    names = ("raylet", "gcs_server", "ray::IDLE", "ray::Map")
    return [child for child in psutil.Process(pid).children(recursive=True) if child.name().startswith(names)]


def gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=600)
    return alive == []
