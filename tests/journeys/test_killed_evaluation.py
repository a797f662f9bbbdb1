"""Evaluations that are killed or interrupted go on: what was found is not computed again, by one process or by two.

What a process was at when it was struck was never found, and is computed anew: at most one scorer of one clip of each.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

import counted_scores
from evaluated_clips import write_clips

SCORERS = ("levels", "image_faults", "motion", "text_area")


def start(folder, workers):
    words = ["evaluate", str(folder / "clips"), "--metrics", ",".join(SCORERS), "--report", str(folder / "report")]
    return subprocess.Popen(
        [sys.executable, counted_scores.__file__, *words, "--workers", str(workers)],
        env={**os.environ, counted_scores.VARIABLE: str(folder / "log")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def struck(folder, workers, pairs, strike):
    """Strike a run when it has computed so many pairs; return whether it was still there."""
    process = start(folder, workers)
    while process.poll() is None and sum(counted_scores.computed(folder / "log").values()) < pairs:
        time.sleep(0.01)
    process.send_signal(strike)
    _, said = process.communicate()
    assert b"Traceback" not in said
    return process.returncode != 0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_was_found_is_not_computed_again(tmp_path, workers):
    num_clips = 5
    write_clips(tmp_path / "clips", num_clips)
    strikes = [(3, signal.SIGKILL), (9, signal.SIGINT)]
    times = sum(struck(tmp_path, workers, pairs, strike) for pairs, strike in strikes)
    process = start(tmp_path, workers)
    _, said = process.communicate()
    assert process.returncode == 0, said
    counts = counted_scores.computed(tmp_path / "log")
    assert len(counts) == num_clips * len(SCORERS)
    assert sum(counts.values()) - len(counts) <= times * workers
    kept = (tmp_path / "report" / "scores.jsonl").read_bytes().splitlines()
    assert sum(line.endswith(b"}") for line in kept) == num_clips * len(SCORERS)
    # The detector of text is opened for two degrees of certainty at most, however many clips a process looks at.
    assert max(counted_scores.opened(tmp_path / "log").values()) <= 2
