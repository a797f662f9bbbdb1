import math

import numpy as np
import pytest

from mova.errors import ConfigError
from mova.media.waveform import downmix, loudness_lufs, peak, resample


def tone(frequency, seconds, rate, level=1.0):
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate))[None].astype(np.float32)


@pytest.mark.parametrize(("source", "target"), [(44_100, 48_000), (48_000, 16_000), (16_000, 48_000), (22_050, 44_100)])
def test_resampling_keeps_pitch_level_and_place(source, target):
    moved = resample(tone(1000, 1.0, source, 0.5), source, target)
    assert moved.shape == (1, target)
    inner = slice(target // 10, -target // 10)
    np.testing.assert_allclose(moved[:, inner], tone(1000, 1.0, target, 0.5)[:, inner], atol=1e-3)


def test_resampling_removes_what_the_target_cannot_hold():
    moved = resample(tone(12_000, 1.0, 48_000), 48_000, 16_000)
    assert peak(moved[:, 1600:-1600]) < 1e-3


def test_resampling_refuses_impossible_rates():
    with pytest.raises(ConfigError, match="must be positive, got 48000 and 0 Hz"):
        resample(tone(100, 0.1, 48_000), 48_000, 0)


def test_downmix_never_exceeds_full_scale():
    speakers = ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"]
    full = np.ones((8, 10), np.float32)
    assert peak(downmix(full, speakers)) == pytest.approx(1.0)
    assert downmix(full, speakers, mono=False).shape == (2, 10)
    assert peak(downmix(full, speakers, mono=False)) == pytest.approx(1.0)


def test_downmix_of_stereo_is_the_mean():
    stereo = np.array([[1.0, 0.5], [0.0, -0.5]], np.float32)
    np.testing.assert_allclose(downmix(stereo, ["FL", "FR"]), [[0.5, 0.0]])
    np.testing.assert_array_equal(downmix(stereo, ["FL", "FR"], mono=False), stereo)


def test_downmix_refuses_unknown_places():
    with pytest.raises(ConfigError, match=r"each of 3 channels must have a known loudspeaker, got .*TFL"):
        downmix(np.zeros((3, 4), np.float32), ["FL", "FR", "TFL"])
    with pytest.raises(ConfigError, match="each of 3 channels"):
        downmix(np.zeros((3, 4), np.float32), ["FL", "FR"])


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_loudness_of_the_calibration_tone(rate):
    # ITU-R BS.1770: a full-scale tone of 997 Hz in one channel measures -3.01 LUFS; both channels 3.01 more.
    one = tone(997, 5.0, rate)
    assert loudness_lufs(one, rate) == pytest.approx(-3.01, abs=0.05)
    assert loudness_lufs(np.concatenate([one, one]), rate) == pytest.approx(0.0, abs=0.05)


def test_loudness_gates_leave_out_quiet_parts():
    # EBU Tech 3341, case 3: quiet stretches around a tone do not count.
    rate = 16_000
    parts = [tone(1000, 10 if level == -36 else 60, rate, 10 ** (level / 20)) for level in (-36, -23, -36)]
    sound = np.concatenate(parts, axis=1)
    assert loudness_lufs(np.concatenate([sound, sound]), rate) == pytest.approx(-23.0, abs=0.1)


def test_loudness_weights_frequencies():
    low, high = (loudness_lufs(tone(frequency, 3.0, 48_000, 0.1), 48_000) for frequency in (40, 8000))
    middle = loudness_lufs(tone(997, 3.0, 48_000, 0.1), 48_000)
    assert low < middle - 4
    assert high == pytest.approx(middle + 3.3, abs=0.3)


def test_loudness_of_silence_and_of_too_many_channels():
    assert loudness_lufs(np.zeros((1, 48_000), np.float32), 48_000) == -math.inf
    assert loudness_lufs(np.zeros((1, 0), np.float32), 48_000) == -math.inf
    assert loudness_lufs(tone(997, 0.1, 48_000), 48_000) == pytest.approx(-3.01, abs=0.3)
    with pytest.raises(ConfigError, match="1 or 2 channels, got 3; mix down first"):
        loudness_lufs(np.zeros((3, 100), np.float32), 48_000)


def test_peak():
    assert peak(np.array([[0.2, -0.7]], np.float32)) == pytest.approx(0.7)
    assert peak(np.zeros((1, 0), np.float32)) == 0.0
