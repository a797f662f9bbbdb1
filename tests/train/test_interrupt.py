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

from mova.models.convert import load_component
from mova.train.checkpoint import list_states, newest_state
from mova.train.interrupt import Interrupts, sigterm_interrupts

sys.path.insert(0, str(Path(__file__).parents[1] / "distributed"))
import shared_interrupts
import shared_training
from processes import run_processes

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_process_alone_is_interrupted_where_it_is(number):
    former = signal.getsignal(number)
    after = []

    def strike():
        with Interrupts(several=False):
            signal.raise_signal(number)
            after.append("too late")

    with pytest.raises(KeyboardInterrupt):
        strike()
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
        with pytest.raises(KeyboardInterrupt):
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
        with Interrupts(several=False), sigterm_interrupts():
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == former


def test_sigterm_does_what_ctrl_c_does_for_the_time_of_a_block():
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


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
        assert (one["code"], one["left"]) == (130, 1)
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
    assert 0.5 < main[-1] < 1.0
    log = [json.loads(line) for line in (folder / "limited" / "joint" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["event"] == "validate"
    assert 0.025 <= log[-1]["minutes"] < 0.25


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
    deadline = time.monotonic() + 120
    while not (log.is_file() and f'"step": {step},' in log.read_text()):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    strike([int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()])
    output, _ = process.communicate(timeout=120)
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
    assert output.splitlines().count("interrupted") == 2, output

    third = start_torchrun(folder, "--resume", str(folder / "torchrun"))
    output, _ = third.communicate(timeout=120)
    assert third.returncode == 0, output
    run_processes(shared_interrupts.straight_twelve, 2, folder / "again", launched=True)
    assert_same_bits(folder / "twelve", folder / "torchrun")
