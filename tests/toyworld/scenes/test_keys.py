import numpy as np
import pytest

from mova.toyworld import sample_scene
from mova.toyworld.draw import Viewport
from mova.toyworld.scenes.keys import INTERVAL_S, LIGHT_DECAY_S, KeysScene, box_shape, key_x
from mova.toyworld.vocabulary import KEY, NOTES, pitch_hz

SCENE = KeysScene(seed=1, background="pale blue", keys=(2, 0, 6), times_s=(0.3, 0.71, 1.2))


def test_keys_play_the_major_scale_from_the_left():
    events = SCENE.events(2.0)
    assert [event.colour for event in events] == ["mi", "do", "ti"] == list(SCENE.notes)
    assert [event.pitch_hz for event in events] == [pitch_hz(KEY, note) for note in SCENE.notes]
    semitones = [12 * np.log2(pitch_hz(KEY, note) / pitch_hz(KEY, "do")) for note in NOTES]
    assert semitones == pytest.approx([0, 2, 4, 5, 7, 9, 11])


def test_events_end_with_the_clip():
    assert [event.bar for event in SCENE.events(1.0)] == [2, 0]


def test_a_key_lights_up_when_pressed_and_fades():
    assert SCENE.light(2, np.array([0.299, 0.3, 0.3 + LIGHT_DECAY_S])) == pytest.approx([0, 1, np.exp(-1)])
    assert not SCENE.light(1, np.linspace(0, 2, 50)).any()


@pytest.mark.parametrize("size", [64, 128])
def test_only_the_pressed_key_changes_its_pixels(size):
    viewport = Viewport.of(size)
    before, after = SCENE.draw(viewport, np.array([0.0, 0.3])).astype(int)
    rows, columns, coverage = box_shape(viewport, key_x(2), 0.122, 0.86)
    changed = np.abs(after - before).sum(axis=-1) > 0
    assert changed[rows, columns].sum() > 0.5 * (coverage > 0).sum()
    changed[rows, columns] = False
    assert not changed.any()


def test_black_keys_stay_black():
    frame = SCENE.draw(Viewport.of(128), np.array([0.3]))[0]
    assert frame[int(0.5 * 128), int((key_x(0) + key_x(1)) / 2 * 128)].max() < 60


def test_no_key_is_pressed_twice_in_a_row_and_intervals_are_in_range():
    for seed in range(100):
        scene = sample_scene(seed, kind="keys")
        assert all(one != other for one, other in zip(scene.keys, scene.keys[1:], strict=False))
        intervals = np.diff(scene.times_s)
        assert INTERVAL_S[0] <= intervals.min() <= intervals.max() <= INTERVAL_S[1]
