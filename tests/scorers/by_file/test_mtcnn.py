"""A face that was drawn is found at its place."""

import numpy as np
import pytest

from mova.scorers.by_file.mtcnn import find_faces
from shared_faces import drawn_face


def test_a_drawn_face_is_found_at_its_place(weights):
    faces = find_faces(drawn_face(), weights)
    assert len(faces) == 1
    left, top, right, bottom, chance = faces[0]
    assert chance > 0.99
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((320, 175), abs=15)
    assert 100 < right - left < 180


def test_faces_of_other_sizes_and_places_are_found_too(weights):
    (face,) = find_faces(drawn_face(radius=40, place=(150, 120)), weights)
    assert (face[0] + face[2]) / 2 == pytest.approx(150, abs=10)


def test_noise_and_plain_frames_have_no_face(weights):
    noise = np.random.default_rng(0).integers(0, 255, (180, 320, 3), dtype=np.uint8)
    for frame in (noise, np.full((180, 320, 3), 120, np.uint8), noise[:10, :10]):
        assert find_faces(frame, weights).shape == (0, 5)
