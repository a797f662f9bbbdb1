import itertools

import numpy as np
import pytest

from mova.toyworld.event import Event
from mova.toyworld.sound import mix
from mova.toyworld.vocabulary import VOICE_HZ, VOWELS
from mova.toyworld.voice import FORMANT_HZ, harmonics, vowel_sound


def _vowel(time_s=0.50003, end_s=0.9, vowel="a", pitch=120.0):
    return Event(time_s, "vowel", 0.5, 0.7, None, "red", vowel, pitch, 0.6, end_s)


def test_vowel_of_level_one_peaks_near_one():
    since_s = np.arange(8000) / 16_000
    for vowel, pitch in itertools.product(VOWELS, VOICE_HZ.values()):
        assert 0.9 < np.abs(vowel_sound(vowel, pitch, since_s, 0.5)).max() < 1.1


def test_vowel_repeats_at_the_pitch_of_the_voice():
    since_s = np.arange(16_000) / 16_000
    sound = vowel_sound("e", 200.0, since_s, 1.0)
    assert sound[4000:4080] == pytest.approx(sound[4080:4160], abs=1e-9)


def test_first_formant_is_where_the_low_voice_is_loudest():
    for vowel in VOWELS:
        loudest = 120.0 * (1 + np.argmax(np.abs(harmonics(vowel, 120.0))))
        assert abs(loudest - FORMANT_HZ[vowel][0]) <= 120


def test_sound_is_zero_before_the_onset_and_fades_after_the_end():
    waveform = mix([_vowel()], 32_000, 16_000)[0]
    assert not waveform[:8001].any()
    assert np.abs(waveform[8001:8200]).max() > 0.3
    assert np.abs(waveform[14_300:14_400]).max() > 0.3
    assert np.abs(waveform[int(1.05 * 16_000) :]).max() < 1e-3


def test_vowel_does_not_depend_on_the_sample_rate():
    fine, coarse = (mix([_vowel()], rate, rate)[0] for rate in (48_000, 16_000))
    assert coarse[8001:15_000] == pytest.approx(fine[24_003:45_000:3], abs=1e-6)


def test_vowel_cut_by_the_clips_end_or_after_it_is_mixed():
    assert mix([_vowel()], 9600, 16_000).any()
    assert not mix([_vowel()], 4000, 16_000).any()
