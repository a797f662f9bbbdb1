import itertools

import numpy as np
import pytest

from mova.toyworld.draw import Viewport
from mova.toyworld.mouth import CLOSED, MOUTH_RGB, OPENING_S, SHAPE, SKIN_RGB, Face, draw_vowels, mouth_size


def test_mouth_opens_from_the_onset_and_closes_from_the_end():
    times_s = np.array([0.5, 0.5 + OPENING_S / 2, 0.5 + OPENING_S, 0.8, 0.8 + OPENING_S / 2, 0.8 + OPENING_S])
    width, height = mouth_size(times_s, ("a",), (0.5,), (0.8,))
    for size, closed, full in zip((width, height), CLOSED, SHAPE["a"], strict=True):
        middle = (closed + full) / 2
        assert size == pytest.approx([closed, middle, full, full, middle, closed])


def test_shapes_differ_from_each_other_and_from_a_closed_mouth():
    for one, other in itertools.combinations([*SHAPE.values(), CLOSED], 2):
        assert np.hypot(one[0] - other[0], one[1] - other[1]) > 0.2


def test_mouth_covers_its_ellipse():
    face = Face(0.5, 0.5, 0.4, "red", "light")
    viewport = Viewport.of(128)
    frames = np.full((1, 128, 128, 3), 255, np.uint8)
    face.draw_mouth(frames, viewport, (np.array([0.6]), np.array([0.3])))
    covered = (255.0 - frames[0]).sum() / (3 * 255 - sum(MOUTH_RGB))
    assert covered == pytest.approx(np.pi / 4 * 0.6 * 0.3 * (0.4 * 128) ** 2, rel=0.02)


def test_mouth_contrasts_with_every_skin():
    for skin in SKIN_RGB.values():
        assert np.linalg.norm(np.subtract(skin, MOUTH_RGB)) > 120


def test_no_vowel_comes_twice_in_a_row():
    for seed in range(50):
        vowels = draw_vowels(np.random.default_rng(seed), 6)
        assert all(one != other for one, other in itertools.pairwise(vowels))
