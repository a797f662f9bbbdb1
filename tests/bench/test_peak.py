"""The peak of a process is its own, however much the one held that started it."""

import subprocess
import sys

from mova.bench.peak import peak_bytes, peak_of, watched

MIB = 2**20
# A process that once held 400 MiB starts another one, and says what it found of it.
PARENT = """
import subprocess, sys
held = bytearray(400 * 2**20)
for place in range(0, len(held), 4096):
    held[place] = 1
del held
from mova.bench.peak import peak_bytes, watched
own = "from mova.bench.peak import peak_bytes; print(peak_bytes())"
told = subprocess.run([sys.executable, "-c", own], capture_output=True, text=True, check=True).stdout
wait = "import time; held = bytearray(b'x' * (60 * 2**20)); time.sleep(0.5)"
child = subprocess.Popen([sys.executable, "-c", wait])
with watched(lambda: [child.pid]) as peak:
    child.wait()
print(peak_bytes(), told.strip(), peak.bytes)
"""


def test_what_the_parent_held_counts_for_the_parent_alone():
    out = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=True).stdout
    parent, own, seen = map(int, out.split())
    assert parent > 400 * MIB
    assert own < 200 * MIB
    assert 60 * MIB < seen < 200 * MIB


def test_a_process_that_has_ended_has_no_peak():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert peak_of(child.pid) is None
    assert peak_bytes() > 10 * MIB
    with watched(lambda: [child.pid]) as peak:
        pass
    # Where nothing was seen, what the system counts of all children.
    assert peak.bytes > 0
