"""Log-mels of Cnn14 and Synchformer at any length; the recorded ones are compared beside the networks."""

import numpy as np
import pytest
import torch

from mova.errors import ConfigError
from mova.scorers.front_ends.published_mels import cnn14_mel, num_segments, synchformer_mels


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 700, 257_334, 320_000, 400_001])
def test_cnn14_hears_ten_seconds_of_any_sound(samples):
    mel = cnn14_mel(noise(samples))
    assert (mel.shape, mel.dtype) == ((1001, 64), torch.float32)
    assert torch.isfinite(mel).all()
    assert float(mel.min()) >= -100.0


def test_cnn14_hears_silence_behind_a_short_sound_and_nothing_of_what_is_cut():
    sound = noise(400_000)
    assert (cnn14_mel(sound[:32_000])[120:] == -100.0).all()
    torch.testing.assert_close(cnn14_mel(sound)[:990], cnn14_mel(sound[:319_000])[:990])


@pytest.mark.parametrize(
    ("length", "size", "step", "count"),
    [(0, 16, 8, 0), (15, 16, 8, 0), (16, 16, 8, 1), (23, 16, 8, 1), (24, 16, 8, 2), (197, 16, 8, 23), (201, 16, 8, 24)],
)
def test_only_whole_segments_count(length, size, step, count):
    assert num_segments(length, size, step) == count


def test_synchformer_hears_segments_that_do_not_see_each_other():
    sound = noise(40_000)
    mels = synchformer_mels(sound)
    assert mels.shape == (num_segments(40_000, 10_240, 5_120), 66, 128)
    torch.testing.assert_close(mels[3], synchformer_mels(sound[3 * 5_120 : 3 * 5_120 + 10_240])[0])


def test_the_step_behind_each_segment_is_a_zero_before_the_normalisation():
    mels = synchformer_mels(noise(10_240))
    assert mels[0, 65].numpy() == pytest.approx(4.2677393 / (2 * 4.5689974))
    assert mels[0, 65, 0] == pytest.approx(0.467, abs=1e-3)


def test_silence_has_the_least_value_and_too_short_a_sound_is_an_error():
    silent = synchformer_mels(np.zeros(10_240, np.float32))
    assert silent[0, :65].numpy() == pytest.approx((np.log(1e-6) + 4.2677393) / (2 * 4.5689974))
    with pytest.raises(ConfigError, match="must have 10240 samples or more, got 10239; nearest is 10240"):
        synchformer_mels(np.zeros(10_239, np.float32))
