"""The benchmark of `mova evaluate`: clips that are told apart, memory that is compared, strikes that are counted."""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluated_clips import write_clips
from mova.media.read import read_frames

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench_evaluate
from bench_evaluate import Memory


def test_many_clips_differ_and_show_the_same(tmp_path):
    paths = [item.path for item in write_clips(tmp_path / "some", 2)]
    made = sorted(bench_evaluate.many_clips(paths, tmp_path / "many", 5).iterdir())
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in made}) == 5
    first, third = (read_frames(path, frame_rate=24.0, num_frames=12) for path in made[:3:2])
    assert np.array_equal(first, third)


def test_the_second_tenth_is_compared_with_the_last():
    samples = [Memory(clips, 1000 + 10 * clips, 500) for clips in range(100)]
    early, late = bench_evaluate.growth([*samples, Memory(100, 0, 0)], 100)
    assert (late.command_bytes - early.command_bytes) / (late.clips - early.clips) == pytest.approx(10, rel=0.02)
    assert early.worker_bytes == late.worker_bytes == 500
    with pytest.raises(SystemExit, match="too few"):
        bench_evaluate.growth(samples[:50], 100)


@pytest.mark.slow
def test_each_part_makes_a_table(tmp_path):
    options = argparse.Namespace(
        weights=None, metrics="levels,motion", clips=3, size=64, frames=9, turns=1, strikes=2, many=40
    )
    bench = bench_evaluate.Bench(options, tmp_path)
    for part in bench_evaluate.PARTS:
        rows = [line for line in getattr(bench, part)() if line.startswith("|")]
        assert len(rows) >= 4, part
        assert len({row.count("|") for row in rows}) <= 2, part
