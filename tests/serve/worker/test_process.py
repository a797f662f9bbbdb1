"""The process of a worker."""

import io
import json
import subprocess
import sys

import pytest

from mova.serve.worker.process import STAND_IN, Start
from serve_kit import order
from worker_kit import Bench


def run(line):
    return subprocess.run(
        [sys.executable, "-m", "mova.serve.worker"], input=line, capture_output=True, timeout=300, check=False
    )


def test_a_worker_whose_input_ends_ends_well(tmp_path):
    bench = Bench(tmp_path)
    (job,) = bench.store.add([order("a ball")])
    left = tmp_path / "scratch" / "elsewhere-1"
    left.mkdir(parents=True)
    done = run(Start("w", bench.settings.to_json(), STAND_IN, {"step_s": 0.01}).to_line())
    assert done.returncode == 0, done.stderr.decode()
    assert bench.store.get(job.id).state in ("queued", "completed")
    assert [(one.name, one.state) for one in bench.store.workers()] == [("w", "ended")]
    assert left.exists()
    bench.close()


@pytest.mark.parametrize("line", [b"", b"\n"])
def test_a_worker_that_is_told_nothing_says_so(line):
    done = run(line)
    assert done.returncode == 1
    assert "told what to do by its standard input" in done.stderr.decode()


def test_the_first_line_holds_all_in_ascii():
    line = Start("w", '{"model": "é"}').to_line()
    assert line.endswith(b"\n")
    assert line.isascii()
    assert json.load(io.BytesIO(line))["generator"].endswith("make_generator")
