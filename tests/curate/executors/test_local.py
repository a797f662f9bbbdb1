"""A lost process costs no unit but its own; a unit that ends its process each time is set aside."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mova.curate.executors.local import LocalExecutor
from mova.curate.runner import run_all
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips
from mova.curate.units import Patience
from mova.errors import DataError
from shared_curation import ToyCut, toy_run, write_sources


def run(footage, output, workers=2, **changes):
    return run_all(toy_run(footage, output, executor=LocalExecutor(workers, Patience(3, 0.0)), **changes))


def test_a_unit_that_ends_each_of_its_processes_is_set_aside_and_all_others_are_done(tmp_path):
    footage = write_sources(tmp_path / "in", 4)
    (footage / "poison.txt").write_text("poison x")
    run(footage, tmp_path / "out")
    sources = {source.uri.rpartition("/")[2]: source for source in iter_sources(tmp_path / "out" / "sources.parquet")}
    (reason,) = sources.pop("poison.txt").reasons
    assert reason.startswith("worker_lost: the process that worked on it ended 3 times")
    assert {str(source.state) for source in sources.values()} == {"kept"}


def test_a_unit_whose_process_is_ended_once_is_done_by_the_next(tmp_path):
    footage = write_sources(tmp_path / "in", 1)
    (footage / "once.txt").write_text("once x")
    run(footage, tmp_path / "out", cut=ToyCut(kills=str(tmp_path)))
    (once, _) = iter_sources(tmp_path / "out" / "sources.parquet")
    # The second process got past the place where the first one ended.
    assert once.reasons[0].startswith("bug: ValueError: invalid literal")


def test_processes_that_are_killed_from_outside_change_nothing_of_the_table(tmp_path):
    footage = write_sources(tmp_path / "in", 6)
    plain = run(footage, tmp_path / "plain")
    done = threading.Event()
    killed = []

    def kill():
        while not done.wait(0.4):
            for process in multiprocessing.active_children()[:1] if len(killed) < 2 else ():
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        table = run(footage, tmp_path / "out", cut=ToyCut(pause_s=0.1))
    finally:
        done.set()
        killer.join()
    assert killed
    assert list(iter_clips(table)) == list(iter_clips(plain))


def test_an_interruption_ends_the_processes_and_leaves_what_is_done(tmp_path):
    footage = write_sources(tmp_path / "in", 6)

    def interrupt(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(footage, tmp_path / "out", on_progress=interrupt, cut=ToyCut(pause_s=0.05))
    deadline = time.monotonic() + 60
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == []
    told = []
    table = run(footage, tmp_path / "out", on_progress=told.append)
    assert (
        sum(progress.clips for progress in told if progress.stage == "cut" and progress.done == 6)
        < 4 + 5 + 6 + 4 + 5 + 6
    )
    assert list(iter_clips(table)) == list(iter_clips(run(footage, tmp_path / "plain")))


def test_a_folder_that_cannot_be_written_ends_the_run_with_what_to_do(tmp_path):
    footage = write_sources(tmp_path / "in", 2)
    output = tmp_path / "out"
    (output / "cut").mkdir(parents=True)
    (output / "cut" / "units").write_text("in the way")
    with pytest.raises(DataError, match=r"must be writable and have room: .*run the same command again"):
        run(footage, output, workers=1)
    (output / "cut" / "units").unlink()
    run(footage, output, workers=1)


@pytest.mark.slow
def test_memory_of_the_driver_does_not_grow_with_the_units(tmp_path):
    peaks = []
    for count in (200, 1600):
        job = "import sys, driver_jobs; driver_jobs.main(*sys.argv[1:])"
        command = [sys.executable, "-c", job, "local", str(count), "0", str(tmp_path / str(count))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        done, peak = map(int, out.split())
        assert done == count
        peaks.append(peak)
    # A kilobyte kept of each unit would be 1.4 MB.
    assert peaks[1] < peaks[0] + 1e6
