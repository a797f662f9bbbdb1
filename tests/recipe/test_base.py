"""Sizes that the networks can take, and names that are nearly right."""

import pytest

from mova.recipe.base import check_num_frames, check_size, nearest_name


@pytest.mark.parametrize(("value", "near"), [(100, "96 and 112"), (20, "16 and 32")])
def test_a_size_that_cannot_be_used_names_its_neighbours(value, near):
    with pytest.raises(ValueError, match=f"must be a multiple of 16; nearest are {near}"):
        check_size(value)


def test_a_frame_count_that_cannot_be_folded_names_its_neighbours():
    with pytest.raises(ValueError, match="must be 1 plus a multiple of 4; nearest are 17 and 21"):
        check_num_frames(20)


def test_values_that_fit_come_back():
    assert (check_size(352), check_num_frames(193)) == (352, 193)


def test_a_name_far_from_all_is_answered_with_all():
    assert nearest_name("shfit", ["shift", "size"]) == "; did you mean shift?"
    assert nearest_name("qqqq", ["shift", "size"]) == "; known: shift, size"
