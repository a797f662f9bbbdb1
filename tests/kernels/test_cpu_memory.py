"""Freed memory is used again: few pages are asked of the system for the same tensors a second time."""

import json
import re
import subprocess
import sys

import pytest

from mova.kernels import cpu_memory

CHILD = """
import json, resource
import torch
from mova.kernels.cpu_memory import keep_freed_memory

torch.set_num_threads(1)
is_kept = keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        [torch.ones(2**20) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(json.dumps([is_kept, faults()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about the C library of Linux")
def test_freed_blocks_are_not_asked_of_the_system_again():
    made = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=300)
    is_kept, faults = json.loads(made.stdout)
    if not is_kept:
        pytest.skip("another C library")
    # 160 MB in pages of 4 kB are 40,000.
    assert faults < 2000


HEAPS = """
import ctypes, threading
from mova.kernels.cpu_memory import share_heaps

is_done = share_heaps()
held, stay = [], threading.Event()

def work():
    held.append([bytes(100_000) for _ in range(20)])
    stay.wait()

threads = [threading.Thread(target=work, daemon=True) for _ in range(12)]
for thread in threads:
    thread.start()
while len(held) < 12:
    pass
libc = ctypes.CDLL(None)
libc.malloc_stats()
stay.set()
print(is_done)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about the C library of Linux")
def test_threads_of_a_server_share_two_heaps():
    made = subprocess.run([sys.executable, "-c", HEAPS], capture_output=True, text=True, check=True, timeout=300)
    if made.stdout != "True\n":
        pytest.skip("another C library")
    # What it says of each heap.
    assert 1 <= len(re.findall(r"^Arena \d+:$", made.stderr, re.MULTILINE)) <= 2


def test_other_systems_and_libraries_are_left_alone(monkeypatch):
    class Bare:
        """A C library without the function."""

    monkeypatch.setattr(cpu_memory.ctypes, "CDLL", lambda _: Bare())
    assert not cpu_memory.keep_freed_memory()
    assert not cpu_memory.share_heaps()
    monkeypatch.setattr(cpu_memory.sys, "platform", "darwin")
    assert not cpu_memory.keep_freed_memory()
