"""A long clip whose process is killed without warning goes on, and is the same file to the byte."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mova.generate.long.make import windows_folder

COMMAND = ["--prompt", "a dog", "--size", "48x32", "--frames", "13", "--steps", "8", "--guidance-scale", "1"]
LONG = ["--length", "2", "--overlap", "0.2", "--retries", "0", "--kernels", "plain", "--seed", "4"]


def command(checkpoint: Path, output: Path) -> list[str]:
    own = ["--model", str(checkpoint), "--output", str(output)]
    return [sys.executable, "-m", "mova.cli", "generate", *COMMAND, *LONG, *own]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_clip_goes_on_where_it_was(checkpoint, tmp_path):
    whole = tmp_path / "whole.mp4"
    subprocess.run(command(checkpoint, whole), check=True, env=environment(), capture_output=True)
    target = tmp_path / "a.mp4"
    folder, rng = windows_folder(target), random.Random(1)
    kills = 0
    for _ in range(2):
        before = len(list(folder.glob("window-*")))
        process = subprocess.Popen(command(checkpoint, target), env=environment(), stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(folder.glob("window-*"))) < before + 1:
            time.sleep(0.002)
        time.sleep(0.05 * rng.random())
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        assert not target.exists() or not kills
    assert kills >= 1
    subprocess.run(command(checkpoint, target), check=True, env=environment(), capture_output=True)
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "whole.mp4"]
