import colorsys
import itertools

import numpy as np

from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOUR_RGB, COLOURS, FLOOR_RGB, TIMBRES, pitch_hz


def test_colours_are_at_least_40_degrees_of_hue_apart():
    hues = [colorsys.rgb_to_hsv(*(level / 255 for level in COLOUR_RGB[colour]))[0] * 360 for colour in COLOURS]
    for one, other in itertools.combinations(hues, 2):
        assert min(abs(one - other), 360 - abs(one - other)) >= 40


def test_every_colour_contrasts_with_every_background():
    for colour, background in itertools.product(COLOUR_RGB.values(), BACKGROUND_RGB.values()):
        assert np.abs(np.subtract(colour, background)).max() >= 150


def test_backgrounds_and_floors_can_be_told_apart():
    for palette in (BACKGROUND_RGB, FLOOR_RGB):
        for one, other in itertools.combinations(palette.values(), 2):
            assert np.abs(np.subtract(one, other)).sum() >= 40


def test_notes_of_a_timbre_rise_with_the_colours_and_stay_within_an_octave():
    for timbre in TIMBRES:
        notes = [pitch_hz(timbre, colour) for colour in COLOURS]
        assert notes == sorted(notes)
        assert notes[-1] / notes[0] < 2
        assert min(b / a for a, b in itertools.pairwise(notes)) > 1.1


def test_materials_lie_in_different_ranges():
    wood, metal, drum = ((pitch_hz(m, COLOURS[0]), pitch_hz(m, COLOURS[-1])) for m in ("wood", "metal", "drum"))
    assert drum[1] < wood[0] < wood[1] < metal[0]
