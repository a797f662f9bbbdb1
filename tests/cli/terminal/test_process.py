"""Every command ends in the same way when it is asked to: exit code 130 or 143, nothing left, no process alive."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mova.cli.app import main
from mova.cli.terminal.process import ending_signals, stop_if_asked
from mova.errors import Interrupted
from mova.plan import cost as plan

CHECKPOINT = Path(__file__).parents[2] / "numerics" / "records" / "pipeline_checkpoint"
SHORT = ["--model", str(CHECKPOINT), "--size", "48x32", "--frames", "9"]
LONG = ["generate", "--prompt", "a dog", "--output", "made/a.mp4", *SHORT, "--steps", "1000"]
COMMANDS = {
    "generate": LONG,
    "generate-gpus": [*LONG, "--gpus", "2"],
    "bench": ["bench", "--output", "made/a.md", *SHORT, "--steps", "1000"],
    "evaluate": ["evaluate", "toyworld", "--model", "mova-tiny", "--clips", "50", "--seed", "1", "--report", "made"],
    "convert": ["weights", "convert", str(CHECKPOINT), "made/model", "--dtype", "bf16", "--max-shard-size", "1KB"],
    "render": ["toyworld", "render", "--count", "500", "--seed", "1", "--out", "made"],
}
# They end as `generate` does; an interrupted `bench` has a test of its own beside its command.
LIKE_OTHERS = ("bench", "evaluate")
KILLS = int(os.environ.get("MOVA_KILL_COUNT", "3"))


def moments(fast):
    """The numbers of all moments; one of them is tried in the suite, the others by `make test-slow`."""
    return [pytest.param(number, marks=[pytest.mark.slow] * (number != fast)) for number in range(KILLS)]


def start(folder, arguments, ignored=()):
    """Start a command in a folder of its own, in a process group as a terminal would."""

    def take_signals():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_IGN if name in ignored else signal.SIG_DFL)

    (folder / "temporary").mkdir(parents=True)
    (folder / "made").mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "mova", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=take_signals,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "temporary")},
    )


def children_of(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def assert_nothing_is_left(folder, children):
    alive = psutil.wait_procs(children, timeout=300)[1]
    assert not alive
    assert temporary_files(folder) == []
    assert [path for path in (folder / "made").rglob("*") if is_leftover(path)] == []


def temporary_files(folder):
    """Everything but the cache that torch keeps on purpose."""
    return [path for path in (folder / "temporary").iterdir() if not path.name.startswith("torchinductor_")]


def is_leftover(path):
    # The file of a lock stays when the lock is free: to remove it would race with who takes it next.
    return (path.name.startswith(".") and path.name != ".lock") or path.suffix in (".part", ".partial", ".tmp")


@pytest.mark.parametrize(
    ("command", "name", "code"),
    [
        *((command, "SIGTERM", 143) for command in COMMANDS if command not in LIKE_OTHERS),
        *(pytest.param(command, "SIGTERM", 143, marks=pytest.mark.slow) for command in LIKE_OTHERS),
        # `generate` has a test of Ctrl-C while it samples beside its command.
        pytest.param("generate", "SIGINT", 130, marks=pytest.mark.slow),
        pytest.param("generate-gpus", "SIGINT", 130, marks=pytest.mark.slow),
        ("render", "SIGHUP", 143),
    ],
)
def test_a_signal_ends_every_command_with_its_code_and_leaves_nothing(tmp_path, command, name, code):
    process = start(tmp_path, COMMANDS[command])
    # Where it then is, depends on the machine; everything must be right everywhere.
    time.sleep({"render": 2.0, "convert": 6.0}.get(command, 9.0))
    children = children_of(process)
    process.send_signal(getattr(signal, name))
    out, log = process.communicate(timeout=300)
    # It may have been quicker, or, on a busy machine, not have read a line of ours yet.
    if process.returncode not in (0, -getattr(signal, name)):
        assert process.returncode == code, log
        assert out == ""
        assert f"interrupted ({name})" in log
    assert "Traceback" not in log
    assert_nothing_is_left(tmp_path, children)


@pytest.mark.parametrize("number", moments(fast=1))
def test_a_signal_at_any_moment_leaves_nothing(tmp_path, number):
    chance = random.Random(number)
    name = chance.choice(["SIGINT", "SIGTERM", "SIGHUP"])
    command = chance.choice(["generate", "generate-gpus", "render", "convert"])
    process = start(tmp_path, COMMANDS[command])
    time.sleep(chance.uniform(0.0, 12.0))
    children = children_of(process)
    # Ctrl-C reaches all processes of the terminal.
    os.killpg(process.pid, getattr(signal, name)) if chance.random() < 0.5 else process.send_signal(
        getattr(signal, name)
    )
    _, log = process.communicate(timeout=300)
    # Before the interpreter has read a line of ours, the signal's own effect stands.
    assert process.returncode in (0, 130, 143, -getattr(signal, name)), log
    assert "this is a bug" not in log
    assert_nothing_is_left(tmp_path, children)


@pytest.mark.parametrize("number", moments(fast=0))
def test_a_process_that_is_killed_leaves_no_child_and_no_half_written_file(tmp_path, number):
    chance = random.Random(100 + number)
    command = chance.choice(["generate", "generate-gpus"])
    process = start(tmp_path, COMMANDS[command])
    time.sleep(chance.uniform(0.0, 12.0))
    children = children_of(process)
    process.kill()
    process.communicate(timeout=300)
    assert not psutil.wait_procs(children, timeout=300)[1]
    assert temporary_files(tmp_path) == []
    assert list((tmp_path / "made").glob("*.mp4")) == []


def test_what_a_killed_writer_left_goes_with_the_next_clip(tmp_path):
    (tmp_path / ".mova-0123456789abcdef.part").write_bytes(b"half")
    options = ["--output", str(tmp_path / "a.mp4"), *SHORT, "--steps", "1"]
    assert main(["generate", "--prompt", "a dog", *options]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_signal_that_was_switched_off_stays_so(tmp_path):
    process = start(tmp_path, [*COMMANDS["render"][:3], "40", *COMMANDS["render"][4:]], ignored=["SIGHUP"])
    time.sleep(2.0)
    process.send_signal(signal.SIGHUP)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 0, log


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_an_error_that_a_library_makes_of_a_signal_is_still_the_signal(monkeypatch, capsys, number, code):
    def import_something(*_, **__):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise ImportError("a module failed to import") from None

    monkeypatch.setattr(plan, "make_plan", import_something)
    before = signal.getsignal(number)
    assert main(["plan", "--model", "mova-360p"]) == code
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_a_signal_that_was_swallowed_is_raised_again_where_a_job_comes_by():
    with ending_signals():
        stop_if_asked()
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        # Another one meanwhile does not disturb those who tidy up.
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as raised:
            stop_if_asked()
        assert raised.value.exit_code == 143
    stop_if_asked()
