import numpy as np

from mova.toyworld import sample_scene
from mova.toyworld.draw import Viewport
from mova.toyworld.mouth import OPENING_S
from mova.toyworld.vocabulary import VOICE_HZ


def test_both_faces_speak_with_different_voices_and_hats():
    for seed in range(100):
        scene = sample_scene(seed, kind="duet")
        assert set(scene.sides) == {"left", "right"}
        assert set(scene.voices) == {"low", "high"}
        assert scene.hats[0] != scene.hats[1]


def test_every_turn_has_the_voice_and_the_place_of_its_speaker():
    scene = sample_scene(3, kind="duet")
    for side, event in zip(scene.sides, scene.events(2.0), strict=True):
        assert event.side == side
        assert (event.x < 0.5) == (side == "left")
        assert event.pitch_hz == VOICE_HZ[scene.voice_of(side)]


def test_only_the_speakers_mouth_moves():
    scene = sample_scene(3, kind="duet")
    times_s = np.array([0.0, *(onset_s + OPENING_S for onset_s in scene.times_s)])
    shut, *opened = scene.draw(Viewport.of(64), times_s).astype(int)
    for side, frame in zip(scene.sides, opened, strict=True):
        changed = np.abs(frame - shut).sum(axis=(0, 2)) > 0
        assert changed[:32].any() == (side == "left")
        assert changed[32:].any() == (side == "right")
