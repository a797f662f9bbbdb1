"""How a worker is woken and stopped."""

import os
import threading

from mova.serve.worker.wake import Wake


def test_a_line_wakes_and_the_end_stops():
    read, write = os.pipe()
    is_late = threading.Event()
    wake = Wake(grace_s=0.01, on_late=is_late.set)
    with os.fdopen(read, "rb") as lines:
        wake.listen(lines)
        wake.wait(0.01)
        os.write(write, b"\n")
        wake.wait(60)
        assert not wake.is_over
        wake.clear()
        os.close(write)
        wake.wait(60)
        while not wake.is_over:
            wake.wait(60)
        wake.clear()
        wake.wait(60)
        assert is_late.wait(60)


def test_a_ring_wakes():
    wake = Wake()
    wake.ring()
    wake.wait(60)
    assert not wake.is_over
