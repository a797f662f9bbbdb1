"""The GPU benchmark, tried on the CPU: rows kept as they come, gone on with, failing alone, left out without time."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from gpu import needs, supervise, work
from gpu.children import read_report
from gpu.ledger import Ledger
from gpu.note import lines_of_note
from gpu.rows import ROWS, Row, choose

ROOT = Path(__file__).parents[2]
# Speaks as the worker does: what a row is called says what becomes of it.
WORKER = """
import json, os, sys, time
print(json.dumps({"machine": {}, "free GB": {}}), flush=True)
for line in sys.stdin:
    name = json.loads(line)["row"]
    if name == "dies":
        print("out of patience", file=sys.stderr, flush=True)
        os._exit(7)
    if name == "hangs":
        time.sleep(600)
    state = "failed" if name == "fails" else "measured"
    print(json.dumps({"state": state, "figures": {"process": os.getpid()}, "error": [name], "well": True}), flush=True)
"""
MACHINE = {
    "gpu": None,
    "driver": None,
    "cuda": None,
    "system": "Linux",
    "cpu": "a CPU",
    "cores": 2,
    "ram_bytes": 10**9,
    "python": "3.12",
    "packages": {"torch": "2.11"},
}


def row(name, seconds=1.0, **changes):
    return Row(name, f"what {name} is", "joint:forward", seconds, **{"packages": (), **changes})


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    made = supervise.Worker([sys.executable, str(tmp_path / "worker.py")], tmp_path / "log", {})
    yield made
    made.stop()


@pytest.fixture
def ledger(tmp_path):
    made = Ledger.open(tmp_path / "kept" / "gpu.json", "full", "a GPU")
    made.runs.append({"started": "2026-11-28T20:00:00Z", "command": "bench", "commit": "abc", "machine": MACHINE})
    return made


def measure(rows, ledger, worker, *, minutes=10.0, again=()):
    """Yield name, state and what the file holds by then."""
    deadline = time.monotonic() + 60 * minutes
    options = {"deadline": deadline, "device": "cpu", "commit": "abc", "again": again, "after": lambda _: None}
    for one, found in supervise.go(rows, ledger, worker, **options):
        yield one.name, found["state"], json.loads(ledger.file.read_text())["rows"]


def test_every_row_is_kept_as_soon_as_it_is_there(ledger, worker):
    held = [len(rows) for _, _, rows in measure([row("one"), row("two"), row("three")], ledger, worker)]
    assert held == [1, 2, 3]


def test_a_row_that_fails_or_ends_the_process_is_kept_with_its_error_and_the_next_goes_on(ledger, worker):
    states = [state for _, state, _ in measure([row("one"), row("fails"), row("dies"), row("two")], ledger, worker)]
    assert states == ["measured", "failed", "failed", "measured"]
    assert ledger.row("fails")["error"] == ["fails"]
    assert ledger.row("dies")["error"] == ["the process of the measurement ended with 7", "out of patience"]
    assert ledger.row("one")["figures"] != ledger.row("two")["figures"], "another process went on"


def test_a_row_that_hangs_is_stopped(ledger, worker, monkeypatch):
    monkeypatch.setattr(supervise, "PATIENCE_S", 0.5)
    monkeypatch.setattr(supervise, "PATIENCE", 0.0)
    worker.start()
    states = [state for _, state, _ in measure([row("hangs")], ledger, worker)]
    assert states == ["failed"]
    assert ledger.row("hangs")["error"][0].startswith("stopped after")


def test_a_second_run_goes_on_where_the_first_one_stopped(ledger, worker):
    list(measure([row("one"), row("fails")], ledger, worker))
    again = Ledger.open(ledger.file, "full", "a GPU")
    rows = [row("one"), row("fails"), row("two")]
    assert [state for _, state, _ in measure(rows, again, worker)] == ["kept", "failed", "measured"]
    assert [state for _, state, _ in measure(rows, again, worker, again=["one"])] == ["measured", "failed", "kept"]


def test_rows_of_another_device_or_other_sizes_are_others(ledger, worker):
    list(measure([row("one")], ledger, worker))
    assert not Ledger.open(ledger.file, "full", "another GPU").has("one")
    assert not Ledger.open(ledger.file, "small", "a GPU").has("one")
    assert Ledger.open(ledger.file, "full", "a GPU").has("one")


def test_what_does_not_fit_is_left_out_and_what_fits_is_not(ledger, worker):
    rows = [row("long", 1000.0), row("short", 1.0)]
    assert [state for _, state, _ in measure(rows, ledger, worker, minutes=2)] == [
        "not measured: no time left",
        "measured",
    ]
    assert ledger.row("long")["error"][0].startswith("about 1000 s expected, ")


def test_a_measured_row_is_not_lost_to_an_attempt_that_gave_nothing(ledger):
    ledger.put("one", {"state": "measured", "figures": {"seconds": 4.4}})
    ledger.put("one", {"state": "failed", "error": ["no memory"]})
    assert ledger.figures() == {"one": {"seconds": 4.4}}
    assert ledger.row("one")["later"]["error"] == ["no memory"]


def test_a_missing_package_is_named_at_once_and_its_row_left_out(ledger, worker, monkeypatch):
    wanting = row("one", packages=("no_such_package", "json"))
    assert needs.report([wanting, row("two")], "cpu") == ["missing: package no_such_package (rows one)"]
    assert [state for _, state, _ in measure([wanting, row("two")], ledger, worker)] == ["missing", "measured"]
    assert ledger.row("one")["error"] == ["package no_such_package"]
    monkeypatch.setattr(needs.shutil, "which", lambda _: None)
    assert "a C compiler (gcc)" in needs.lacking(row("compiled", compiles=True), "cuda")
    assert needs.lacking(row("compiled", compiles=True), "cpu") == []


def test_an_error_of_a_row_is_its_result(tmp_path, monkeypatch):
    def out_of_memory(_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 7 GiB")

    shared = work.Work("small", torch.device("cpu"), 1, tmp_path)
    shared.keep("weights", lambda: torch.ones(3))
    monkeypatch.setattr(Row, "run", lambda _, work: out_of_memory(work))
    found = work.attempt(shared, "b.forward")
    assert found["state"] == "failed"
    assert found["error"][:2] == ["OutOfMemoryError: CUDA out of memory.", "Tried to allocate 7 GiB"]
    assert shared.keep("weights", lambda: "made anew") == "made anew", "memory is freed between rows"


def test_the_note_says_what_came_of_every_row(ledger):
    ledger.put("b.forward", {"state": "measured", "figures": {"seconds": 4.3, "TFLOP/s": 640.0}, "seconds": 31.0})
    ledger.put("b.compiled", {"state": "failed", "error": ["no memory | at all"]})
    note = "\n".join(lines_of_note(ledger))
    assert "| b.forward | forward | seconds 4.3; TFLOP/s 640 | 4.4 s or less | 31.0 |" in note
    assert "| b.compiled | forward, compiled blocks | failed: no memory / at all | - | - |" in note


def test_rows_are_chosen_by_letter_or_name():
    assert [one.name[0] for one in choose(["c"])] == ["c", "c"]
    assert [one.name for one in choose(["b.float8", "b.forward"])] == ["b.forward", "b.float8"]
    with pytest.raises(ValueError, match=r"rows must be letters from a to h or of .*; got 'z'"):
        choose(["z"])
    assert len({one.name for one in ROWS}) == len(ROWS)


REPORT = """<testsuites><testsuite>
<testcase classname="tests.one" name="test_a"/><testcase classname="tests.one" name="test_b"><skipped/></testcase>
<testcase classname="tests.two" name="test_c"><failure message="m">first line

&gt; assert 1 == 2
E assert 1 == 2</failure></testcase>
<testcase classname="" name="tests.three"><error>No module named 'av'</error></testcase>
</testsuite></testsuites>"""


def test_tests_that_fail_and_files_that_cannot_be_imported_are_named(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    assert read_report(tmp_path / "report.xml") == {
        "passed": 1,
        "failed": 2,
        "skipped": 1,
        "failures": {
            "tests.two.test_c": ["first line", "> assert 1 == 2", "E assert 1 == 2"],
            "tests.three": ["No module named 'av'"],
        },
    }


def bench_gpu(*options):
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_gpu.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_forward_on_a_cpu_from_the_command_to_the_note(tmp_path):
    output = tmp_path / "gpu.json"
    small = ["--sizes", "small", "--device", "cpu", "--output", str(output), "--rounds", "1"]
    ran = bench_gpu(*small, "--rows", "b.forward,b.cudnn,e")
    assert ran.returncode == 0, ran.stderr
    assert "missing: attention native_cudnn" in ran.stdout
    rows = {key.rpartition(" | ")[2]: found for key, found in json.loads(output.read_text())["rows"].items()}
    assert rows["b.forward"]["state"] == rows["e.720p"]["state"] == "measured"
    assert rows["b.forward"]["figures"]["finite"]
    assert "| b.forward | forward | seconds " in output.with_suffix(".md").read_text()


def test_what_cannot_begin_says_so_and_measures_nothing(tmp_path):
    output = tmp_path / "gpu.json"
    ran = bench_gpu("--rows", "b,z", "--output", str(output))
    assert (ran.returncode, output.exists()) == (2, False)
    assert "got 'z'" in ran.stdout
    if not torch.cuda.is_available():
        ran = bench_gpu("--output", str(output))
        assert (ran.returncode, output.exists()) == (2, False)
        assert "finds no GPU; install a build of torch for CUDA" in ran.stdout
