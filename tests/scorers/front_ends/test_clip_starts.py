"""Clips of a sound: where the record says, and inside of a sound of any length."""

import pytest

from mova.scorers.front_ends.clip_starts import Spacing, clip_starts
from scorer_records import open_record


def test_clips_begin_where_the_record_says():
    starts = [start * 16_000 for start, _ in open_record("imagebind").facts["clip_seconds"]]
    assert clip_starts(128_667) == tuple(int(start) for start in starts)


@pytest.mark.parametrize("samples", [32_000, 32_001, 48_000, 80_000, 128_667, 160_000, 320_123])
def test_clips_lie_inside_the_sound_whatever_its_length(samples):
    for spacing in Spacing:
        starts = clip_starts(samples, spacing)
        assert starts[0] == 0
        assert list(starts) == sorted(starts)
        assert starts[-1] + 32_000 <= samples
        parts = 3 if spacing is Spacing.THIRDS else 2
        assert [round(start * parts / 2) for start in starts[1:]] == pytest.approx(
            [(samples - 32_000) / 2, samples - 32_000], abs=parts
        )


def test_one_spacing_hears_the_end_and_the_other_does_not():
    assert clip_starts(160_000, Spacing.HALVES)[-1] + 32_000 == 160_000
    assert clip_starts(160_000, Spacing.THIRDS)[-1] + 32_000 < 160_000 - 2 * 16_000
