"""Whether compiled blocks pay for their compilation in a run where nobody says it (no torch here).

Plain calls write down what compiled blocks keep to themselves: float32 copies around norms, positions, sums. What that
saves grows with the tokens that go through the model; the compilation takes the same time for any of them.
"""

from __future__ import annotations

from typing import Final

COMPILE_S: Final = 60.0
"""Seconds that a first compilation of the four kinds of blocks takes, about; later ones find most of it on the disk."""

# Counted for the published sizes (`benchmarks/probe_bytes_moved.py`): 29 MB less per video token and forward, and as
# much again where inputs are rounded to float8, at the 3.8 TB/s that such operations reach on an H200. A slower memory
# saves more.
_SAVED_S: Final = 8e-6
_SAVED_FLOAT8_S: Final = 15e-6


def compiling_saves(token_forwards: int, quantization: str | None) -> float:
    """Return the seconds that compiled blocks save on a fast GPU.

    Args:
        token_forwards: video tokens x forwards of a run (of a model of the published size).
        quantization: method of the large weights, or None.
    """
    return token_forwards * (_SAVED_FLOAT8_S if quantization == "float8_linear" else _SAVED_S)


def compiling_pays(token_forwards: int, quantization: str | None) -> bool:
    """Say whether compiled blocks save at least what their compilation takes; arguments as `compiling_saves`."""
    return compiling_saves(token_forwards, quantization) >= COMPILE_S
