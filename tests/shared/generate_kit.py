"""`mova generate` with a checkpoint so small that a clip takes no time, in this process or in one of its own."""

import os
import subprocess
import sys
from pathlib import Path

from mova.cli.app import main

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
SHORT = ["--model", str(CHECKPOINT), "--size", "48x32", "--frames", "9", "--steps", "2"]


def generate(output, *options):
    """Make a clip in this process; return the exit code."""
    return main(["generate", "--prompt", "a dog", "--output", str(output), *SHORT, *options])


def start(*arguments, program=("-m", "mova.cli"), **options):
    """Start a process that makes a clip."""
    return subprocess.Popen(
        [sys.executable, *program, "generate", "--prompt", "a dog", *SHORT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )
