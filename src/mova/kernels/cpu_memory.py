"""How the C library keeps memory: that of tensors which are freed stays with the process, for the next ones on a CPU.

The C library of Linux gives large blocks back to the system at once and asks for new ones, whose pages the system
clears and maps one by one: 25,000 page faults in a forward at the size of `benchmarks/bench_forward.py`, a twentieth of
its processor time. No result changes.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

# Numbers of glibc's malloc.h. Blocks up to 32 MB, the most that it takes, and 256 MB of free memory are kept.
_MMAP_THRESHOLD: Final = (-3, 32 * 2**20)
_TRIM_THRESHOLD: Final = (-1, 256 * 2**20)
_MOST_HEAPS: Final = (-8, 2)


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, where it is glibc; for the whole process.

    Returns:
        Whether it does.
    """
    return _set(_TRIM_THRESHOLD, _MMAP_THRESHOLD)


def share_heaps() -> bool:
    """Let all threads share two heaps, where the C library is glibc; for a process of many threads that compute little.

    Each of a server's forty threads would have one, and keep in it what the largest of its requests took.

    Returns:
        Whether they do.
    """
    return _set(_MOST_HEAPS)


def _set(*options: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        # Another C library has other rules.
        return False
    return all(set_option(*option) == 1 for option in options)
