"""A curation that is killed, interrupted or short of disk goes on as if nothing had been."""

import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc

import pytest

from mova.curate.config.verdicts import Gate
from mova.curate.runner import run_all
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips
from mova.files.json_file import parse_json
from shared_curation import Here, toy_run, write_sources

GATES = (Gate(score="silence_share", below=0.8), Gate(near_duplicates=0))
DRIVER = """
import sys
from pathlib import Path
from shared_curation import ToyCut, ToyScore, toy_run
from mova.cli.terminal.process import ending_signals
from mova.curate.config.verdicts import Gate
from mova.curate.executors.local import LocalExecutor
from mova.curate.runner import run_all
from mova.curate.units import Patience
from mova.errors import Interrupted

if __name__ == "__main__":
    gates = (Gate(score="silence_share", below=0.8), Gate(near_duplicates=0))
    footage, output = map(Path, sys.argv[1:3])
    executor = LocalExecutor(2, Patience(3, 0.0))
    with ending_signals():
        try:
            run_all(
                toy_run(footage, output, gates=gates, executor=executor, cut=ToyCut(pause_s=0.02), score=ToyScore(0.1)),
            )
        except Interrupted as error:
            sys.exit(error.exit_code)
"""


def start(footage, output):
    # A file and no -c: workers are started anew and import it.
    script = footage.parent / "driver.py"
    script.write_text(DRIVER)
    shared = os.pathsep.join(path for path in sys.path if path.endswith(("shared", "src")))
    environment = {**os.environ, "PYTHONPATH": shared}
    return subprocess.Popen([sys.executable, str(script), str(footage), str(output)], env=environment)


def rows(output):
    tables = list(iter_clips(output / "clips.parquet")), list(iter_sources(output / "sources.parquet"))
    return *tables, parse_json((output / "summary.json").read_bytes(), "summary", error=ValueError)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = write_sources(tmp_path_factory.mktemp("journey") / "in", 8)
    (folder / "corrupt.txt").write_text("corrupt x")
    return folder


@pytest.fixture(scope="module")
def whole(footage, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    run_all(toy_run(footage, output, gates=GATES))
    return rows(output)


def kill_until_done(footage, output, seed, kills):
    """Kill the run at random moments, so many times; then let it end. Return how many kills met it at work."""
    rng, met = random.Random(seed), 0
    for _ in range(kills):
        process = start(footage, output)
        # Imports take a second or more; later moments meet later stages.
        deadline = time.monotonic() + rng.uniform(0.5, 5.0)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        met += process.poll() is None
        process.kill()
        process.wait()
    process = start(footage, output)
    assert process.wait(timeout=300) == 0
    return met


def test_a_run_that_is_killed_and_started_again_gives_the_same_tables(footage, whole, tmp_path):
    assert kill_until_done(footage, tmp_path, seed=1, kills=2) > 0
    assert rows(tmp_path) == whole
    there = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "clips").rglob("*.mp4")}
    assert there == {clip.path for clip in whole[0] if clip.path}
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_run_in_which_everything_is_rejected_holds_no_more_for_more_sources(tmp_path, monkeypatch):
    for module in ("tables", "source_table", "assemble", "decide.evidence", "summary"):
        monkeypatch.setattr(f"mova.curate.{module}.ROWS", 64)

    def peak(name, count):
        footage = write_sources(tmp_path / name, count)
        for path in footage.iterdir():
            path.write_text(f"unwanted {path.name}")
        run = toy_run(footage, tmp_path / f"{name}_out", executor=Here())
        tracemalloc.start()
        try:
            run_all(run)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak("first", 5)
    assert peak("many", 200) < 1.2 * peak("few", 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_twenty_kills_at_random_moments_change_nothing(footage, whole, tmp_path, seed):
    kill_until_done(footage, tmp_path, seed=10 + seed, kills=4)
    assert rows(tmp_path) == whole


def test_an_interrupted_run_ends_at_once_with_its_exit_code_and_goes_on_later(footage, whole, tmp_path):
    process = start(footage, tmp_path)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("cut/units/*/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=300) == 130
    assert not (tmp_path / "clips.parquet").exists()
    process = start(footage, tmp_path)
    assert process.wait(timeout=300) == 0
    assert rows(tmp_path) == whole
