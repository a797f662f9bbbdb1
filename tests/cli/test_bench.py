"""`mova bench` as a user meets it: a note and its path, or an error before anything is measured."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mova.cli.app import main
from mova.plan.memory import Room

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
SHORT = ["--model", str(CHECKPOINT), "--size", "48x32", "--frames", "5", "--steps", "2"]
FLAGS = {
    "--output",
    "--model",
    "--random-weights",
    "--speed",
    "--size",
    "--frames",
    "--steps",
    "--memory",
    "--quantize",
    "--attention",
    "--kernels",
    "--precision",
    "--compile",
    "--no-compile",
    "--runs",
    "--json",
    "--help",
}


def bench(output, *options):
    return main(["bench", *SHORT, "--output", str(output), *options])


def test_help_lists_the_agreed_flags_and_no_others(capsys):
    assert main(["bench", "--help"]) == 0
    words = capsys.readouterr().out.replace("[", " ").replace("]", " ").split()
    assert {word for word in words if word.startswith("--")} == FLAGS


def test_a_stored_model_gives_a_note_with_the_whole_command(tmp_path, capsys):
    output = tmp_path / "note.md"
    assert bench(output) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{output}\n"
    assert "measuring: the whole command" in shown.err
    note = output.read_text()
    assert "| `mova generate` from start to end |" in note
    assert f"`mova bench --model {CHECKPOINT} --speed exact --size 48x32 --frames 5 --steps 2`" in note
    assert [path.name for path in tmp_path.iterdir()] == ["note.md"]


def test_kernels_that_are_asked_for_are_those_of_the_command_that_is_measured(tmp_path):
    assert bench(tmp_path / "note.md", "--kernels", "plain") == 0
    assert "--steps 2 --kernels plain`" in (tmp_path / "note.md").read_text()
    assert bench(tmp_path / "other.md", "--kernels", "plan") == 2


def test_random_weights_give_a_note_and_json_on_request(tmp_path, capsys):
    output = tmp_path / "note.md"
    assert bench(output, "--random-weights", "--speed", "fast", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["random_weights"]
    assert record["command"] is None
    assert record["settings"]["num_frames"] == 5
    assert record["pipeline"]["forward_s"] > 0
    assert "random weights" in output.read_text()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--output", "note.txt"], "output must be an .md file, got note.txt; nearest is note.md"),
        (["--output", "absent/note.md"], "output must lie in a directory that exists"),
        (["--runs", "0"], "runs must lie between 1 and 20, got 0; nearest is 1"),
        (["--size", "50x32"], "width must be a positive multiple of 16, got 50"),
        (["--steps", "0"], "steps must lie between 1 and 1000"),
        (["--speed", "quick"], "speed must be one of"),
        (["--model", "mova-360p"], "mova-360p is known by its sizes only; add --random-weights"),
        (["--model", "no-such"], "model must be mova-tiny, mova-360p, mova-720p or a model directory"),
    ],
)
def test_what_cannot_be_measured_is_an_error_at_once(options, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mova.bench.measure.measure", None)
    assert main(["bench", *SHORT, "--output", "note.md", *options]) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--memory", "disk"], "random weights are in no file, got memory='disk'; nearest is stream"),
        (["--attention", "flash"], "nearest"),
    ],
)
def test_random_weights_that_cannot_be_used_so_are_an_error_before_they_are_made(
    options, text, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("mova.bench.random_weights.random_pipeline", None)
    assert bench(tmp_path / "note.md", "--random-weights", *options) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_full_size_that_memory_cannot_hold_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mova.plan.free.room_of", lambda _: Room(8 * 10**9, 8 * 10**9, is_gpu=False))
    options = ["--model", "mova-360p", "--random-weights", "--output", str(tmp_path / "note.md")]
    assert main(["bench", *options]) == 2
    assert "random weights of mova-360p must fit the memory" in capsys.readouterr().err


def test_a_note_is_never_replaced(tmp_path, capsys):
    output = tmp_path / "note.md"
    output.write_text("before")
    (tmp_path / "note_2.md").touch()
    assert bench(output) == 2
    assert f"free is {tmp_path / 'note_3.md'}" in capsys.readouterr().err
    assert output.read_text() == "before"


def command_of(pid):
    """The command line of a process; empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_ctrl_c_leaves_nothing_and_ends_the_command_it_started(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "mova.cli", "bench", *SHORT, "--steps", "1000", "--output", str(tmp_path / "note.md")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert "whole command" in process.stderr.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    started = []
    while children.exists() and process.poll() is None:
        started = [pid for pid in children.read_text().split() if b"generate" in command_of(pid)]
        if started:
            break
        time.sleep(0.02)
    time.sleep(0.5)  # until the measurement waits for what it has started
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.strip().endswith("interrupted (SIGINT)")
    assert list(tmp_path.iterdir()) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
