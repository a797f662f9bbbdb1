"""Boxes that overlap become one; how much two have in common is counted in edges or in pixels."""

import numpy as np
import pytest

from mova.scorers.front_ends.boxes import overlapping, shared_part


def test_the_surest_of_boxes_that_overlap_stays():
    boxes = np.array([[0, 0, 9, 9, 0.8], [1, 1, 10, 10, 0.9], [50, 50, 59, 59, 0.7]], float)
    assert overlapping(boxes, 0.5).tolist() == [1, 2]
    # 64 of 98 are shared; in pixels 81 of 119.
    assert overlapping(boxes, 0.66).tolist() == [1, 0, 2]
    assert overlapping(boxes, 0.66, corner_pixels=True).tolist() == [1, 2]
    assert overlapping(boxes, 0.7, corner_pixels=True).tolist() == [1, 0, 2]


def test_a_box_inside_another_is_covered_by_the_smaller_of_both():
    boxes = np.array([[0, 0, 99, 99, 0.9], [10, 10, 29, 29, 0.8]], float)
    assert overlapping(boxes, 0.7).tolist() == [0, 1]
    assert overlapping(boxes, 0.7, over_smaller=True).tolist() == [0]
    assert overlapping(np.zeros((0, 5)), 0.5).tolist() == []


def test_the_first_of_equally_sure_boxes_stays():
    boxes = np.array([[0, 0, 10, 10, 0.5], [0, 0, 10, 9, 0.5]], float)
    assert overlapping(boxes, 0.3).tolist() == [0]


@pytest.mark.parametrize(
    ("other", "part"), [((0, 0, 10, 10), 1.0), ((5, 0, 15, 10), 1 / 3), ((10, 0, 20, 10), 0.0), ((20, 30, 25, 35), 0.0)]
)
def test_two_boxes_share_a_part_of_their_union(other, part):
    assert shared_part((0, 0, 10, 10), other) == pytest.approx(part)


def test_boxes_without_extent_share_nothing():
    assert shared_part((3, 3, 3, 3), (3, 3, 3, 3)) == 0.0
