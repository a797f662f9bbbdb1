"""Calls in a child: whatever becomes of it, the caller goes on."""

import os
import subprocess
import sys
import time

import psutil
import pytest

import guarded_jobs as jobs
from mova.errors import ReadError
from mova.files.guarded import GuardedProcess, Lost

SMALL = 200 << 20


@pytest.fixture
def guarded():
    with GuardedProcess(SMALL) as process:
        yield process


def test_calls_share_a_child_that_is_another_process(guarded):
    first = guarded.call(jobs.process_id, 60.0)
    assert first == guarded.call(jobs.process_id, 60.0) != os.getpid()
    assert guarded.call(jobs.double, 60.0, 21) == 42
    assert len(guarded.call(jobs.large, 60.0, 3_000_000)) == 3_000_000


def test_an_error_of_the_function_is_raised_here(guarded):
    with pytest.raises(ReadError, match="got half of one"):
        guarded.call(jobs.refuse, 60.0)
    assert guarded.call(jobs.double, 60.0, 1) == 2


def test_what_the_function_prints_is_no_answer(guarded):
    assert guarded.call(jobs.shout, 60.0) == "quiet"


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (jobs.hang, (), "decoder_timeout"),
        (jobs.crash, (), "decoder_crashed"),
        (jobs.leave, (3,), "decoder_crashed"),
        (jobs.eat_slowly, (3 * SMALL,), "decoder_memory"),
        (jobs.eat_at_once, (1 << 44,), "decoder_memory"),
    ],
)
def test_a_call_that_is_lost_says_how_and_the_next_one_has_a_new_child(guarded, function, arguments, name):
    before = guarded.call(jobs.process_id, 60.0)
    lost = guarded.call(function, 1.0 if name == "decoder_timeout" else 60.0, *arguments)
    assert isinstance(lost, Lost)
    assert lost.name == name
    assert lost.reason.startswith(f"{name}: ")
    assert not psutil.pid_exists(before) or psutil.Process(before).status() == psutil.STATUS_ZOMBIE
    assert guarded.call(jobs.process_id, 60.0) != before


def test_a_child_that_was_ended_between_two_calls_is_replaced(guarded):
    before = guarded.call(jobs.process_id, 60.0)
    psutil.Process(before).kill()
    psutil.Process(before).wait()
    assert guarded.call(jobs.double, 60.0, 4) == 8


def test_the_child_of_a_process_that_is_killed_ends(tmp_path):
    code = (
        "import sys, time; import guarded_jobs as jobs; from mova.files.guarded import GuardedProcess\n"
        "p = GuardedProcess(); print(p.call(jobs.process_id, 60.0), flush=True); p.call(jobs.hang, 600.0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    child.wait(30)
