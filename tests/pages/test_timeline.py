"""Strips along a clip's time."""

import re

import numpy as np
import pytest

from mova.pages.html import relative_url
from mova.pages.timeline import WIDTH, Curve, curve_strip, spectrogram, spectrogram_strip, waveform_strip


def tone(hz, seconds=1.0, rate=16_000):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def test_a_waveform_is_loud_where_the_sound_is():
    sound = np.concatenate([np.zeros(8000), tone(100, 0.5)])
    made = waveform_strip(sound, 16_000).markup
    assert 'data-duration="1.0"' in made
    assert 'aria-label="Waveform of 1 s, peak 0.5 of full scale."' in made
    places = [
        tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", re.search(r'd="M([^"]+)Z"', made)[1])
    ]
    left = [y for x, y in places if x < WIDTH / 2 - 2]
    right = [y for x, y in places if x > WIDTH / 2 + 2]
    assert max(left) - min(left) < 1
    assert max(right) - min(right) > 20


@pytest.mark.parametrize("length", [1, 7, 100_000])
def test_a_waveform_of_any_length_fits(length):
    assert "nan" not in waveform_strip(np.zeros(length), 16_000).markup


def test_a_spectrogram_shows_low_tones_below_and_high_ones_above():
    rows = [int(spectrogram(tone(hz), 16_000)[:, 240].argmax()) for hz in (100, 400, 1600, 6400)]
    assert rows == sorted(rows, reverse=True)
    assert len(set(rows)) == 4


@pytest.mark.parametrize("sound", [np.zeros(1), np.zeros(5000), np.ones(3)])
def test_a_spectrogram_of_next_to_nothing_is_an_image(sound):
    image = spectrogram(sound, 16_000, (16, 20))
    assert image.shape == (16, 20)
    assert image.dtype == np.uint8


def test_a_curve_says_its_moments_in_words():
    made = curve_strip(Curve("motion (px)", [0, 0.5, 1.0], [0.0, 2.0, 1.0], [0.5]), 1.0).markup
    assert 'aria-label="motion (px): 0 to 2; at 0.50 s."' in made
    assert f'<line x1="{WIDTH / 2}"' in made
    assert curve_strip(Curve("flat", [0.0], [3.0]), 1.0).markup.count("<polyline") == 1


def test_what_is_empty_is_refused():
    with pytest.raises(ValueError, match="a waveform needs a sample"):
        waveform_strip(np.zeros(0), 16_000)
    with pytest.raises(ValueError, match="got 2 and 1"):
        curve_strip(Curve("x", [0.0], [1.0, 2.0]), 1.0)


def test_an_image_lies_beside_the_page():
    assert '<image href="./shown/a.png"' in spectrogram_strip(relative_url("shown/a.png"), 2.0).markup
