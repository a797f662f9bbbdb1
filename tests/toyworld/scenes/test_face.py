import itertools
from collections import Counter

import numpy as np

from mova.toyworld import sample_scene
from mova.toyworld.draw import Viewport
from mova.toyworld.event import LAST_EVENT_S
from mova.toyworld.mouth import OPENING_S
from mova.toyworld.scenes.face import LAST_END_S, PAUSE_S, VOWEL_S, draw_turns
from mova.toyworld.vocabulary import VOICE_HZ


def test_events_tell_vowel_voice_onset_and_end():
    scene = sample_scene(1, kind="face")
    events = scene.events(2.0)
    assert tuple(event.timbre for event in events) == scene.vowels
    assert tuple((event.time_s, event.end_s) for event in events) == tuple(
        zip(scene.times_s, scene.ends_s, strict=True)
    )
    assert {event.pitch_hz for event in events} == {VOICE_HZ[scene.voice]}


def test_only_the_mouth_moves():
    scene = sample_scene(1, kind="face")
    shut, opened = scene.draw(Viewport.of(64), np.array([0.0, scene.times_s[0] + OPENING_S])).astype(int)
    rows, columns = np.nonzero(np.abs(opened - shut).sum(axis=-1))
    assert abs(rows.mean() / 64 - scene.face.mouth_y) < 0.03
    assert abs(columns.mean() / 64 - scene.face.x) < 0.03
    assert np.ptp(columns) < 0.9 * scene.face.radius * 64


def test_mouth_is_shut_between_vowels_and_before_the_end():
    for seed in range(100):
        times_s, ends_s = draw_turns(np.random.default_rng(seed), 2 + seed % 3)
        assert times_s[-1] < LAST_EVENT_S
        assert ends_s[-1] < LAST_END_S
        pauses = [later - end for end, later in zip(ends_s, times_s[1:], strict=False)]
        assert PAUSE_S[0] - 1e-9 <= min(pauses) <= max(pauses) <= PAUSE_S[1] + 1e-9
        assert min(pauses) > OPENING_S
        lengths = [end - onset for onset, end in zip(times_s, ends_s, strict=True)]
        assert VOWEL_S[0] - 1e-9 <= min(lengths) <= max(lengths) <= VOWEL_S[1] + 1e-9


def test_all_vowels_voices_and_hats_are_about_equally_frequent():
    scenes = [sample_scene(seed, kind="face") for seed in range(400)]
    for counts in (
        Counter(itertools.chain.from_iterable(scene.vowels for scene in scenes)),
        Counter(scene.voice for scene in scenes),
        Counter(scene.hat for scene in scenes),
    ):
        assert min(counts.values()) > 0.65 * counts.total() / len(counts)
