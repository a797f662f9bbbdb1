import numpy as np
import pytest

from mova.toyworld.event import Event
from mova.toyworld.sound import blow, mix, sound_duration_s
from mova.toyworld.vocabulary import COLOURS, TIMBRES, pitch_hz


def _event(time_s, timbre="metal", level=0.7):
    return Event(time_s, "bounce", 0.5, 0.86, None, "red", timbre, pitch_hz(timbre, "red"), level)


@pytest.mark.parametrize("timbre", TIMBRES)
def test_blow_of_level_one_peaks_near_one(timbre):
    since_s = np.arange(16_000) / 16_000
    peaks = [np.abs(blow(timbre, pitch_hz(timbre, colour), since_s)).max() for colour in COLOURS]
    assert min(peaks) > 0.7
    assert max(peaks) < 1.15


def test_wood_is_short_and_metal_rings():
    since_s = np.arange(16_000) / 16_000

    def audible_s(timbre):
        sound = np.abs(blow(timbre, pitch_hz(timbre, "green"), since_s))
        return since_s[sound > 0.03 * sound.max()].max()

    assert 0.08 < audible_s("wood") < 0.13
    assert 0.3 < audible_s("metal") < 0.6
    assert audible_s("wood") < audible_s("drum") < audible_s("metal")


def test_fundamental_is_the_strongest_line_of_wood_metal_and_bar():
    since_s = np.arange(8000) / 16_000
    for timbre in ("wood", "metal", "bar"):
        spectrum = np.abs(np.fft.rfft(blow(timbre, pitch_hz(timbre, "blue"), since_s)))
        assert np.argmax(spectrum) * 2 == pytest.approx(pitch_hz(timbre, "blue"), abs=4)


def test_sound_is_exactly_zero_before_the_first_event_and_starts_at_it():
    waveform = mix([_event(0.50003)], 32_000, 16_000)[0]
    assert not waveform[:8001].any()
    assert waveform[8001:8040].any()


def test_sub_sample_times_shift_the_waveform():
    at_48k = mix([_event(0.5)], 48_000, 48_000)[0]
    # 1 / 48000 s later and sampled three times more coarsely: every third sample of the same curve.
    later = mix([_event(0.5 + 2 / 48_000)], 16_000, 16_000)[0]
    assert later[8001:12_000] == pytest.approx(at_48k[24_001:35_998:3], abs=1e-6)


def test_overlapping_sounds_add_up():
    one, two = mix([_event(0.2)], 16_000, 16_000), mix([_event(0.5)], 16_000, 16_000)
    assert mix([_event(0.2), _event(0.5)], 16_000, 16_000) == pytest.approx(one + two, abs=1e-6)


def test_event_after_the_end_is_not_heard():
    assert not mix([_event(1.5)], 16_000, 16_000).any()


def test_sound_ends_below_minus_60_db():
    for timbre in TIMBRES:
        since_s = np.linspace(0, sound_duration_s(timbre), 20_000)
        assert np.abs(blow(timbre, pitch_hz(timbre, "red"), since_s)[-50:]).max() < 1e-3
