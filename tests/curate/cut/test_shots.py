"""Cuts are found at the exact frame; without cuts there are none."""

import pytest

from footage_kit import shots
from mova.curate.cut.shots import AdaptiveShots


def cuts_of(frames, threshold=3.0, min_frames=12):
    finder = AdaptiveShots(threshold, min_frames)
    for frame in frames:
        finder.add(frame)
    return finder.cuts()


def test_a_cut_is_found_at_its_frame():
    assert cuts_of(shots(4.0, [1.5, 1.0, 1.5])) == [36, 60]


def test_one_shot_has_no_cut_and_neither_has_nothing():
    assert cuts_of(shots(2.0, [9.0])) == []
    assert cuts_of([]) == []


@pytest.mark.parametrize(("min_frames", "cuts"), [(6, [24, 36]), (30, [36])])
def test_cuts_lie_apart(min_frames, cuts):
    assert cuts_of(shots(3.0, [1.0, 0.5, 9.0]), min_frames=min_frames) == cuts
