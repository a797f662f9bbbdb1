"""Workers of a run end with it."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from mova.data.workers import Workers, result_of
from mova.errors import DataError

SCRIPT = """
import os, time
from mova.data.workers import Workers

if __name__ == "__main__":
    pool = Workers(2)
    pids = {job.result() for job in [pool.submit(os.getpid) for _ in range(8)]}
    print(*pids, flush=True)
    time.sleep(3600)
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody asks for its exit code, a process that has ended keeps its number.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_workers_end_when_their_run_is_killed(tmp_path):
    (tmp_path / "run.py").write_text(SCRIPT)
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py")], stdout=subprocess.PIPE, text=True)
    try:
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert pids
        assert all(is_alive(pid) for pid in pids)
    finally:
        run.kill()
        run.communicate()
    while any(is_alive(pid) for pid in pids):
        time.sleep(0.01)


def test_workers_are_prepared_and_leave_interrupts_to_the_run():
    with Workers(1, os.umask, (0o27,)) as pool:
        assert pool.submit(os.umask, 0o22).result() == 0o27
        os.kill(pool.submit(os.getpid).result(), signal.SIGINT)
        assert pool.submit(sum, [1, 2]).result() == 3


def test_a_worker_that_is_ended_is_told_of_to_jobs_before_and_after_it_alike():
    with Workers(1) as pool:
        before = pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL)
        wait([before])
        after = pool.submit(sum, [1, 2])
        for job in (before, after):
            with pytest.raises(DataError, match=r"that count must run to their end, and one was ended near b, .*fewer"):
                result_of(job, "count", "near b")
