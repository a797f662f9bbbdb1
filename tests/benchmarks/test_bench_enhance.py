"""Free wordings become clips of the shipped model that show and sound what they ask for."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench_enhance as bench

LEAST_RIGHT = 38


def test_captions_are_those_that_were_asked_for():
    from mova.toyworld.asked.ask import ask_scene

    wordings = bench.read_wordings()
    assert len(wordings) == 40
    assert [bench.differences(ask_scene(one.text).scene, one.asked) for one in wordings] == [[]] * 40
    assert bench.differences(None, {"kind": "ball"}) == ["kind None in place of ball"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_clips_show_and_sound_what_was_asked_for():
    rows = list(bench.measure("mova-tiny", "exact", 0, bench.read_wordings()))
    assert sum(not wrong for _, wrong, _ in rows) >= LEAST_RIGHT
