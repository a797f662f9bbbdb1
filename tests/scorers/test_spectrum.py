"""Bandwidths of tones and filtered noise, and onsets of clicks."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import firwin, lfilter

from mova.scorers import spectrum
from mova.scorers.spectrum import SpectrumScorer
from shared_scoring import clip_of, fading, reason, tone, value

RATE = spectrum.SAMPLE_RATE
BIN = RATE / 512


def noise(seconds=1.0):
    return 0.1 * np.random.default_rng(0).normal(size=round(seconds * RATE))


@pytest.mark.parametrize("hz", [2000, 4000, 8000])
def test_noise_of_a_narrow_band_has_the_bandwidth_of_its_filter(hz):
    upsampled = lfilter(firwin(801, hz, fs=RATE), [1], noise())
    assert spectrum.bandwidth_hz(upsampled, RATE) == pytest.approx(hz, abs=4 * BIN)


def test_white_noise_fills_everything_and_a_tone_next_to_nothing():
    assert spectrum.bandwidth_hz(noise(), RATE) == RATE / 2
    assert spectrum.bandwidth_hz(tone(1000, 1.0), RATE) == pytest.approx(1000, abs=5 * BIN)


def test_a_sound_shorter_than_a_window_has_a_bandwidth():
    assert spectrum.bandwidth_hz(noise()[:100], RATE) > 0


def test_two_equal_tones_spread_by_half_their_distance():
    pair = tone(2000, 1.0) + tone(4000, 1.0)
    assert spectrum.spectral_bandwidth_hz(pair, RATE) == pytest.approx(1000, rel=0.1)


def test_both_bandwidths_come_under_their_own_names(tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(2000, 1.0) + tone(4000, 1.0))
    assert value(SpectrumScorer(), clip, "bandwidth_hz") == pytest.approx(4000, abs=500)
    assert value(SpectrumScorer(), clip, "spectral_bandwidth_hz") == pytest.approx(1000, rel=0.2)
    silent = clip_of(tmp_path / "silent.mp4", sound=np.zeros(RATE))
    assert reason(SpectrumScorer(), silent, "bandwidth_hz") == "not applicable: the sound is silent"


def test_onsets_of_clicks_are_found_within_a_hop_or_two():
    at = [0.5, 1.0, 1.7]
    sound = np.zeros(2 * spectrum.ONSET_RATE, np.float32)
    for time in at:
        first = round(time * spectrum.ONSET_RATE)
        burst = fading(tone(1000, 0.2, sample_rate=spectrum.ONSET_RATE))
        sound[first : first + len(burst)] = burst
    found = spectrum.onset_times_s(spectrum.onset_strength(sound))
    assert len(found) == 3
    assert np.abs(found - at).max() < 2 * spectrum.ONSET_HOP / spectrum.ONSET_RATE


def test_onsets_are_those_that_librosa_finds_by_default():
    from librosa.onset import onset_detect

    rng = np.random.default_rng(0)
    sound = np.concatenate([level * rng.normal(size=7000) for level in (0.1, 0.5, 0.05, 0.4, 0.3, 0.6)]).astype(
        np.float32
    )
    theirs = onset_detect(y=sound, sr=spectrum.ONSET_RATE, units="time")
    assert spectrum.onset_times_s(spectrum.onset_strength(sound)).tolist() == theirs.tolist()
    assert len(theirs) > 1


def start_onsets(caches):
    code = """
import numpy as np
from mova.scorers.spectrum import onset_strength, onset_times_s
print(onset_times_s(onset_strength(np.random.default_rng(0).normal(size=44_100))))
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(caches)}
    environment.pop("NUMBA_CACHE_DIR", None)
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


def said_by(processes):
    said = [process.communicate()[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


@pytest.mark.slow
def test_processes_that_compile_librosa_at_the_same_time_all_live(tmp_path):
    first = said_by([start_onsets(tmp_path) for _ in range(2)])
    later = said_by([start_onsets(tmp_path)])
    assert first[0][0] == 0
    assert first[0][1].strip()
    assert set(first + later) == {first[0]}
    assert list(tmp_path.glob("mova/numba/**/*.nbc"))


@pytest.mark.slow
def test_where_nothing_can_be_kept_librosa_works_all_the_same(tmp_path):
    (tmp_path / "mova").write_text("no folder")
    [(code, text)] = said_by([start_onsets(tmp_path)])
    assert code == 0
    assert text.strip()
    assert [path.name for path in tmp_path.rglob("*")] == ["mova"]
