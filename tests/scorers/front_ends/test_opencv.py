"""Images are made smaller and larger as the published pipelines do it."""

import numpy as np

from mova.scorers.front_ends.opencv import resized, scaled


def test_a_quarter_is_the_mean_of_the_middle_pixels_of_four():
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    quarter = scaled(image, 0.25)
    assert quarter.shape == (10, 16, 3)
    middle = image.reshape(10, 4, 16, 4, 3)[:, 1:3, :, 1:3].mean(axis=(1, 3))
    assert np.abs(quarter - middle).max() <= 0.75


def test_sides_are_rounded_and_may_vanish():
    assert scaled(np.zeros((121, 187, 3), np.uint8), 0.25).shape == (30, 47, 3)
    assert scaled(np.zeros((1, 187, 3), np.uint8), 0.25).size == 0


def test_a_size_is_height_and_width():
    image = np.full((3, 5, 3), 77, np.uint8)
    assert resized(image, (20, 10)).shape == (20, 10, 3)
    assert (resized(image, (20, 10)) == 77).all()
