"""What is measured of a server: kills that lose nothing, and milliseconds."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from serve import kills, latency, running


def test_milliseconds_are_those_of_the_calls():
    assert running.summary([0.001 * one for one in range(1, 102)]) == {
        "median": 51.0,
        "p95": 96.0,
        "p99": 100.0,
        "most": 101.0,
        "calls": 101,
    }
    assert running.summary([0.1]) == {}


@pytest.mark.parametrize(
    ("jobs", "text"),
    [
        ([], "lost"),
        ([("a", 1, "completed", None), ("b", 1, "completed", None)], "twice"),
        ([("a", 1, "failed", {"code": "x", "message": ""})], "without a reason"),
        ([("a", 1, "failed", {"code": "x", "message": "why"}), ("b", 7, "completed", None)], "nobody asked"),
    ],
)
def test_jobs_that_are_lost_doubled_or_silent_are_seen(jobs, text):
    class Asked:
        accepted, unsure, refused, repeats = {"a": 1}, {5}, [], 0

    names = ("id", "seed", "status", "error")
    with pytest.raises(AssertionError, match=text):
        kills._check(None, Asked(), [dict(zip(names, job, strict=True)) for job in jobs])


@pytest.mark.slow
def test_an_idle_server_is_timed_and_a_killed_one_loses_nothing(tmp_path):
    options = {"step_s": 0.01, "steps": 5}
    idle = running.Running(tmp_path / "idle", options=options)
    try:
        timed = latency.measure(idle, 3, with_image=False)["ms"]
    finally:
        idle.stop()
    assert timed["post to claim"]["calls"] == 3
    assert 0 < timed["post to row"]["median"] <= timed["post to claim"]["most"]
    server = running.Running(tmp_path / "killed", options=options, checkpoint_every=1)
    try:
        found = kills.measure(server, 5, clients=3)
    finally:
        server.stop()
    assert sum(found["kills"].values()) == 5
    assert Counter(found["ends"]).total() >= found["accepted"] > 0
