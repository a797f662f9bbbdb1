"""A face that was drawn is found at its place; boxes that overlap become one."""

import numpy as np
import pytest

from mova.scorers.by_file.mtcnn import find_faces, overlapping
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


def test_the_surest_of_boxes_that_overlap_stays():
    boxes = np.array([[0, 0, 9, 9, 0.8], [1, 1, 10, 10, 0.9], [50, 50, 59, 59, 0.7]], float)
    assert overlapping(boxes, 0.5).tolist() == [1, 2]
    # 81 pixels of 119 are shared.
    assert overlapping(boxes, 0.7).tolist() == [1, 0, 2]


def test_a_box_inside_another_is_covered_by_the_smaller_of_both():
    boxes = np.array([[0, 0, 99, 99, 0.9], [10, 10, 29, 29, 0.8]], float)
    assert overlapping(boxes, 0.7).tolist() == [0, 1]
    assert overlapping(boxes, 0.7, over_smaller=True).tolist() == [0]
    assert overlapping(np.zeros((0, 5)), 0.5).tolist() == []
