"""Cores are those that this process may use."""

import os
import subprocess
import sys

import pytest

from mova.cores import num_cores


def test_there_is_at_least_one_and_no_more_than_the_machine_has():
    assert 1 <= num_cores() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process to cores")
def test_a_process_that_is_bound_to_one_core_has_one():
    bind = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    code = f"{bind}; from mova import cores; print(cores.num_cores())"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "1"
