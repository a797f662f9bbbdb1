"""Compiled blocks where nobody says it: only where a run gains what their compilation takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mova.kernels.compile_rule import COMPILE_S, compiling_pays, compiling_saves

TOKENS_360P, TOKENS_720P = 43_120, 176_400
FORWARDS = 50 * 2


@pytest.mark.parametrize(
    ("token_forwards", "quantization", "pays"),
    [
        (0, None, False),
        (20 * 3 * 832, None, False),
        (FORWARDS * TOKENS_360P, None, False),
        (FORWARDS * TOKENS_360P, "float8", False),
        (FORWARDS * TOKENS_360P, "float8_linear", True),
        (2 * FORWARDS * TOKENS_360P, None, True),
        (FORWARDS * TOKENS_720P, None, True),
    ],
)
def test_long_runs_compile_and_short_ones_do_not(token_forwards, quantization, pays):
    assert compiling_pays(token_forwards, quantization) is pays
    assert (compiling_saves(token_forwards, quantization) >= COMPILE_S) is pays


def test_the_rule_needs_no_torch():
    code = "import sys, mova.kernels.compile_rule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
