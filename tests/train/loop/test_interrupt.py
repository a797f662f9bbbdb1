"""Ctrl-C and SIGTERM: what is held back, and what several processes save together."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import yaml

import mova
import shared_interrupts
import shared_training
from mova.errors import Interrupted
from mova.train.ladder import run_recipe
from mova.train.loop.checkpoint import list_states, newest_state
from mova.train.loop.interrupt import SIGNALS, Interrupts
from mova.weights.components import load_component
from processes import run_processes

HISTORY = Path(mova.__file__).parent / "assets" / "mova-tiny" / "history"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_process_alone_is_interrupted_where_it_is(number):
    former = signal.getsignal(number)
    after = []

    def strike():
        with Interrupts(several=False):
            signal.raise_signal(number)
            after.append("too late")

    with pytest.raises(Interrupted) as raised:
        strike()
    assert raised.value.number == number
    assert after == []
    assert signal.getsignal(number) is former


@pytest.mark.parametrize("number", SIGNALS)
def test_a_block_that_holds_interrupts_back_ends_first(number):
    after = []

    def strike(interrupts):
        with interrupts.held():
            with interrupts.held():
                signal.raise_signal(number)
            signal.raise_signal(number)
            after.append("still inside")
        after.append("lost")

    with Interrupts(several=False) as interrupts:
        with pytest.raises(Interrupted):
            strike(interrupts)
        assert after == ["still inside"]
        # It came once: what is held after it is not interrupted for the same word.
        with interrupts.held():
            pass


def test_one_of_several_only_notes_it():
    with Interrupts(several=True) as interrupts:
        assert not interrupts.asked
        signal.raise_signal(signal.SIGTERM)
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
        assert interrupts.asked
    assert not interrupts.agreed


def test_signals_that_are_switched_off_stay_off():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts(several=False) as interrupts:
            signal.raise_signal(signal.SIGINT)
        assert not interrupts.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)


def test_outside_the_main_thread_nothing_is_taken():
    former = [signal.getsignal(number) for number in SIGNALS]
    seen = []

    def enter():
        with Interrupts(several=False):
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == former


def test_of_several_signals_the_first_is_told():
    def strike(interrupts):
        with interrupts.held():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    with Interrupts(several=False) as interrupts, pytest.raises(Interrupted) as raised:
        strike(interrupts)
    assert raised.value.exit_code == 143


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
)
def test_a_run_that_is_asked_to_stop_saves_says_so_and_ends_with_the_code_of_the_signal(tmp_path, number, code):
    """The real command, alone; what it left is gone on with."""
    recipe = yaml.safe_load((HISTORY / "tiny_text_encoder.yaml").read_text())
    recipe["data"] |= {"num_clips": 10, "validation_clips": 2}
    recipe["run"] |= {"device": "cpu", "max_steps": 10**6, "max_minutes": None, "batch_size": 2, "log_every": 1}
    (tmp_path / "text.yaml").write_text(yaml.safe_dump(recipe | {"model": f"{tmp_path}/run/model"}))
    command = [sys.executable, "-m", "mova.cli", "train", str(tmp_path / "text.yaml")]
    log = tmp_path / "run" / "text" / "log.jsonl"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (log.is_file() and '"step": 3,' in log.read_text()):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.01)
            process.send_signal(number)
            printed, said = process.communicate()
        finally:
            process.kill()
    assert process.returncode == code, said
    assert printed == ""
    assert "the state is saved" in said
    assert said.splitlines()[-1] == f"interrupted ({number.name})"
    stored = newest_state(tmp_path / "run" / "text" / "checkpoints")
    assert stored.step >= 3
    left = {path.name for path in (tmp_path / "run").rglob("*") if ".partial" in path.name or "owner" in path.name}
    assert not left
    more = [f"run.max_steps={stored.step + 1}"]
    run_recipe(tmp_path / "text.yaml", overrides=more, resume=tmp_path / "run")
    assert newest_state(tmp_path / "run" / "text" / "checkpoints").step == stored.step + 1


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of the runs of two processes, and what each of them saw."""
    folder = tmp_path_factory.mktemp("stopped")
    shared_training.write_recipes(folder)
    shared_interrupts.write_ladder(folder)
    return folder, run_processes(shared_interrupts.stop, 2, folder / "two", launched=True)


def assert_same_bits(one, other):
    for name in ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge"):
        mine, theirs = (load_component(folder / "model" / name).state_dict() for folder in (one, other))
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs), name


def test_all_processes_stop_and_save_together_and_the_resumed_run_ends_with_the_same_bits(stopped):
    folder, found = stopped
    for one in found:
        assert (one["code"], one["left"]) == (143, 1)
        assert one["restored"]
        assert one["states"] == ["step_00000002"]
        assert not one["exported"]
    # The main process writes the manifest; it was struck twice while it did.
    assert [one["struck"] for one in found] == [2, 0]
    assert_same_bits(folder / "straight", folder / "stopped")


def test_the_clock_of_the_main_process_ends_the_run_and_sets_the_schedule_of_all(stopped):
    folder, found = stopped
    main, other = (one["limited"] for one in found)
    assert main == other
    assert main == sorted(main)
    assert main[0] == 0.0
    assert main[-1] < 1.0
    log = [json.loads(line) for line in (folder / "limited" / "joint" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["event"] == "validate"
    # It ends by its clock, not by a million steps; how far beyond is a matter of the machine.
    assert log[-1]["minutes"] >= 0.025
    assert log[-1]["step"] < 10**6


def test_a_weight_that_one_process_spoilt_is_saved_by_none(stopped):
    folder, found = stopped
    for one in found:
        assert "left the finite numbers by step 1: weights" in one["bad"]
    assert list_states(folder / "spoilt" / "joint" / "checkpoints") == []


def test_those_who_wait_for_a_stage_of_one_process_are_interrupted_with_it(stopped):
    folder, found = stopped
    assert [one["waited"] for one in found] == ["in text_encoder"] * 2
    assert newest_state(folder / "ladder" / "text" / "checkpoints").step == 1


def start_torchrun(folder, *arguments):
    changes = [*shared_interrupts.LENGTH, "run.max_steps=12", f"model={folder}/torchrun/model"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mova.cli"]
    command += ["train", str(folder / "joint.yaml"), "--cache", str(folder / "cache"), *arguments]
    command += [text for change in changes for text in ("--set", change)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def strike_at(process, folder, step, strike):
    """Call `strike(worker processes)` as soon as the log has a line of a step; return all output."""
    log = folder / "torchrun" / "joint" / "log.jsonl"
    while not (log.is_file() and f'"step": {step},' in log.read_text()):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.002)
    strike([int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()])
    output, _ = process.communicate()
    return output


@pytest.mark.slow
def test_torchrun_ends_after_all_have_saved_and_goes_on_from_there(stopped):
    """Signals as they come: Ctrl-C that one worker gets, twice; then a scheduler's SIGTERM to torchrun itself."""
    folder, _ = stopped

    def interrupt(workers):
        os.kill(workers[1], signal.SIGINT)
        time.sleep(0.02)
        os.kill(workers[1], signal.SIGINT)

    first = start_torchrun(folder)
    output = strike_at(first, folder, 3, interrupt)
    assert first.returncode != 0
    assert output.count("interrupted at step") == 1, output
    assert "exitcode  : 130" in output, output
    reached = newest_state(folder / "torchrun" / "joint" / "checkpoints").step
    assert 3 <= reached < 8

    second = start_torchrun(folder, "--resume", str(folder / "torchrun"))
    output = strike_at(second, folder, reached + 2, lambda _: second.send_signal(signal.SIGTERM))
    assert second.returncode != 0
    assert output.count("interrupted at step") == 1, output
    assert newest_state(folder / "torchrun" / "joint" / "checkpoints").step > reached
    # Both workers say so and leave; what torchrun adds of its own is not theirs.
    assert output.count("interrupted (SIGTERM)") == 2, output

    third = start_torchrun(folder, "--resume", str(folder / "torchrun"))
    output, _ = third.communicate()
    assert third.returncode == 0, output
    run_processes(shared_interrupts.straight_twelve, 2, folder / "again", launched=True)
    assert_same_bits(folder / "twelve", folder / "torchrun")
