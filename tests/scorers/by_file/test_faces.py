"""How much of a clip shows a face."""

import numpy as np
import pytest

from mova.scorers.by_file.faces import FaceScorer
from shared_faces import drawn_face
from shared_scoring import clip_of, reason, still, value


def test_a_face_in_one_of_two_seconds_is_half_and_has_its_height(weights, tmp_path):
    frames = np.concatenate([np.repeat(drawn_face()[None], 24, 0), still(1.0, (360, 640), 120)])
    clip = clip_of(tmp_path / "a.mp4", frames)
    assert value(FaceScorer(weights), clip, "face_share") == pytest.approx(0.5)
    assert 0.3 < value(FaceScorer(weights), clip, "face_height") < 0.7


def test_a_clip_without_a_face_has_no_height_of_it(weights, tmp_path):
    clip = clip_of(tmp_path / "a.mp4", still(1.0))
    assert value(FaceScorer(weights), clip, "face_share") == 0.0
    assert reason(FaceScorer(weights), clip, "face_height") == "not applicable: there is no face"
