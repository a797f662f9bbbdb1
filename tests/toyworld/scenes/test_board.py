import itertools
from collections import Counter

import numpy as np
import pytest

from mova.toyworld import BASIC_KINDS, DEFAULT_KINDS, render, sample_scene
from mova.toyworld.caption import caption
from mova.toyworld.draw import Viewport
from mova.toyworld.event import LAST_EVENT_S, REFERENCE_DURATION_S
from mova.toyworld.scenes.board import (
    DIGIT_VOWELS,
    DIGIT_WORDS,
    DIGITS,
    LAST_END_S,
    VOWEL_S,
    WRITING_S,
    pen_path,
    place_box,
    template,
)


def test_it_is_in_no_default():
    assert "board" not in {*DEFAULT_KINDS, *BASIC_KINDS}
    assert "board" not in {sample_scene(seed).kind for seed in range(100)}


def test_nothing_begins_or_is_said_near_the_end_and_no_digit_comes_twice_in_a_row():
    for seed in range(300):
        scene = sample_scene(seed, kind="board")
        events = scene.events(REFERENCE_DURATION_S)
        assert 2 <= len(events) == len(scene.digits) <= 4
        assert events[-1].time_s < LAST_EVENT_S
        assert events[-1].end_s < LAST_END_S
        # Each digit is complete, and its voice has ended, before the next one.
        for one, other in itertools.pairwise(events):
            assert other.time_s - max(one.end_s, one.time_s + WRITING_S) > 0.1
            assert one.timbre != other.timbre


def test_all_digits_colours_and_voices_occur():
    scenes = [sample_scene(seed, kind="board") for seed in range(300)]
    digits = Counter(digit for scene in scenes for digit in scene.digits)
    assert set(digits) == set(DIGITS)
    assert min(digits.values()) > 0.6 * sum(digits.values()) / 10
    assert len({(scene.colour, scene.voice) for scene in scenes}) == 10


def test_every_digit_has_a_row_of_vowels_of_its_own():
    assert len(set(DIGIT_VOWELS.values())) == 10
    assert {len(row) for row in DIGIT_VOWELS.values()} == {1, 2, 3}
    # Two vowels that are alike would sound as one.
    assert all(one != other for row in DIGIT_VOWELS.values() for one, other in itertools.pairwise(row))


def test_a_digit_sounds_as_its_vowels_one_after_another_while_it_is_one_event():
    scene = sample_scene(1, kind="board")
    (event, *_), sounds = scene.events(2.0), scene.sounds(2.0)
    row = DIGIT_VOWELS[event.timbre]
    assert tuple(sound.timbre for sound in sounds[: len(row)]) == row
    assert sounds[0].time_s == event.time_s
    assert sounds[len(row) - 1].end_s == pytest.approx(event.end_s)
    assert event.end_s - event.time_s == pytest.approx(VOWEL_S * len(row))


def test_the_caption_names_ink_voice_and_digits_and_no_figure():
    for seed in range(40):
        scene = sample_scene(seed, kind="board")
        text = caption(scene)
        assert f"{scene.voice} voice" in text
        assert scene.colour in text
        assert all(text.count(DIGIT_WORDS[int(digit)]) >= 2 for digit in scene.digits)


@pytest.mark.parametrize("digit", DIGITS)
def test_ink_grows_while_a_digit_is_written_and_stays_in_its_box(digit):
    assert pen_path(digit).min() >= -1e-9
    assert pen_path(digit).max() <= 1 + 1e-9
    shape = template(Viewport.of(64), 0, digit)
    assert (np.diff(shape.growth) >= 0).all()
    assert shape.growth[0] < 0.15
    assert shape.growth[-1] == 1
    edges = (shape.ink[0], shape.ink[-1], shape.ink[:, 0], shape.ink[:, -1])
    assert not any(edge.any() for edge in edges)


def test_the_first_frame_is_an_empty_board_and_writing_changes_its_places_only():
    scene = sample_scene(2, kind="board")
    frames = render(scene, size=64).clip.frames
    other = render(sample_scene(2, kind="board"), size=64, num_frames=1).clip.frames[0]
    assert np.array_equal(frames[0], other)
    changed = (frames != frames[0]).any(axis=(0, 3))
    assert changed.any()
    for place in range(4):
        changed[Viewport.of(64).box(place_box(place))] = False
    assert not changed.any()
