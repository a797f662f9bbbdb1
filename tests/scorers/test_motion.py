"""Motion of what moves by a known number of pixels."""

import numpy as np
import pytest

from mova.scorers.motion import MotionScorer, flow_lengths
from shared_scoring import clip_of, reason, still, texture, value


def test_a_texture_that_moves_by_two_pixels_flows_by_two_pixels():
    image = texture(96, 128, smooth=6)
    frames = np.stack([np.roll(image, 2 * index, axis=1) for index in range(4)])
    lengths = flow_lengths(frames)
    assert lengths.shape == (4,)
    assert lengths[0] == lengths[1]
    assert lengths[1:] == pytest.approx(2.0, rel=0.15)


def test_motion_is_measured_between_frames_of_a_quarter_of_a_second(tmp_path):
    image = texture(144, 192, smooth=9)
    frames = np.stack([np.roll(image, index // 2, axis=1) for index in range(48)])
    # Half a pixel a frame at 24 per second are three a quarter second.
    assert value(MotionScorer(), clip_of(tmp_path / "a.mp4", frames), "motion") == pytest.approx(3.0, rel=0.15)


def test_a_still_clip_does_not_move_and_one_frame_cannot(tmp_path):
    assert value(MotionScorer(), clip_of(tmp_path / "a.mp4", still(1.0)), "motion") == pytest.approx(0.0, abs=0.01)
    short = clip_of(tmp_path / "b.mp4", still(0.25))
    assert reason(MotionScorer(), short, "motion") == "not applicable: the clip is shorter than half a second"
