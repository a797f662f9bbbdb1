"""AV-Align as published, counted by hand, and whether clicks belong to what jumps."""

import numpy as np
import pytest

from mova.scorers import synchrony
from mova.scorers.spectrum import ONSET_HOP, ONSET_RATE
from mova.scorers.synchrony import SynchronyScorer, av_align
from shared_scoring import SAMPLE_RATE, clip_of, fading, reason, score, still, tone

TIMES = [0.5, 1.0, 1.5, 2.0]


def jumping(at_s, seconds=2.5):
    """A square of texture that rests, and jumps by eight pixels at each time."""
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8)
    frames = still(seconds, (96, 144), 60)
    for index, frame in enumerate(frames):
        jumps = sum(index >= round(24 * time) for time in at_s)
        frame[32:64, 10 + 8 * jumps : 42 + 8 * jumps] = square
    return frames


def clicks(at_s, seconds=2.5):
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    burst = fading(tone(1500, 0.2))
    for time in at_s:
        sound[round(time * SAMPLE_RATE) :][: len(burst)] = burst
    return sound


def test_matches_over_the_union_by_hand():
    # 0.50 takes 0.52; 1.00 is 0.05 from 1.05, which is more than a frame at 24; 2.00 takes 2.00.
    assert av_align([0.5, 1.0, 2.0], [0.52, 1.05, 2.0, 3.0], 24) == pytest.approx(2 / 5)
    assert av_align([1.0], [1.0], 24) == 1.0
    assert av_align([1.0], [], 24) == 0.0
    assert av_align([], [], 24) == 0.0


def test_matching_is_greedy_and_the_tolerance_open_as_published():
    # The first onset takes the peak between both, so that the second finds none: the best would match two.
    assert av_align([1.0, 1.06], [1.03, 0.97], 24) == pytest.approx(1 / 3)
    assert av_align([1.0], [1.25], 4) == 0.0
    assert av_align([1.0], [1.249], 4) == 1.0


def test_peaks_are_strict_maxima_of_a_tenth_of_a_pixel():
    motion = np.array([0.5, 0.2, 0.3, 0.1, 0.09, 0.05, 0.1, 0.0, 0.4, 0.4, 0.0, 9.0])
    assert synchrony.motion_peaks_s(motion, 10.0) == pytest.approx([0.2, 0.6])


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return clip_of(tmp_path_factory.mktemp("sync") / "a.mp4", jumping(TIMES), clicks(TIMES))


def test_clicks_at_the_jumps_align_and_late_ones_do_not(together, tmp_path):
    late = clip_of(tmp_path / "b.mp4", jumping(TIMES), clicks([time + 0.25 for time in TIMES]))
    good, bad = (score(SynchronyScorer(), clip).scores for clip in (together, late))
    assert good["av_align"].value == 1.0
    assert bad["av_align"].value == 0.0
    assert good["onset_motion_correlation"].value > 0.7
    assert bad["onset_motion_correlation"].value < 0.1


def test_motion_may_be_looked_at_in_small(together):
    assert score(SynchronyScorer(64), together).scores["av_align"].value == 1.0


def test_what_does_not_change_correlates_with_nothing(tmp_path):
    silent = clip_of(tmp_path / "a.mp4", jumping(TIMES), 0 * clicks(TIMES))
    assert reason(SynchronyScorer(), silent, "onset_motion_correlation") == "not applicable: the sound does not change"
    motion = np.zeros(60)
    strength = np.random.default_rng(0).random(round(2.5 * ONSET_RATE / ONSET_HOP))
    found = synchrony.onset_motion_correlation(strength, motion, 24.0)
    assert found.reason == "not applicable: the video does not change"
