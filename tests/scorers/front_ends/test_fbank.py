"""Kaldi's filter banks against a plain computation, and what ImageBind hears of a sound."""

import numpy as np
import pytest
import torch

from mova.errors import ConfigError
from mova.scorers.front_ends.fbank import imagebind_mels, kaldi_fbank


def noise(samples, channels=1, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (channels, samples)).astype(np.float32)


def plain_fbank(sound):
    """Return what the definition says, one window and one band after the other."""

    def mel(hertz):
        return 1127.0 * np.log(1.0 + hertz / 700.0)

    corners = np.linspace(mel(20.0), mel(8000.0), 130)
    rows = []
    for first in range(0, len(sound) - 399, 160):
        window = sound[first : first + 400] - sound[first : first + 400].mean()
        window = np.append(0.03 * window[0], window[1:] - 0.97 * window[:-1]) * np.hanning(400)
        power = np.abs(np.fft.fft(window, 512)[:256]) ** 2
        at = mel(np.arange(256) * 31.25)
        row = [
            sum(p * max(0.0, min((m - a) / (b - a), (c - m) / (c - b))) for p, m in zip(power, at, strict=True))
            for a, b, c in zip(corners[:-2], corners[1:-1], corners[2:], strict=True)
        ]
        rows.append(np.log(np.maximum(row, np.finfo(np.float32).eps)))
    return np.array(rows)


@pytest.mark.parametrize("samples", [400, 559, 560, 1000])
def test_filter_banks_equal_a_plain_computation(samples):
    sound = noise(samples)[0].astype(np.float64)
    np.testing.assert_allclose(kaldi_fbank(sound).numpy(), plain_fbank(sound), rtol=1e-9, atol=1e-9)


def test_less_than_two_seconds_are_an_error():
    with pytest.raises(ConfigError, match="must have 32000 samples or more, got 31999; nearest is 32000"):
        imagebind_mels(noise(31_999))


def test_only_the_first_channel_is_heard_and_a_constant_is_not():
    sound = noise(64_000, channels=2)
    mels = imagebind_mels(sound)
    assert (mels.shape, mels.dtype) == ((3, 128, 204), torch.float32)
    torch.testing.assert_close(mels, imagebind_mels(np.stack([sound[0], noise(64_000, seed=1)[0]])), atol=1e-4, rtol=0)
    torch.testing.assert_close(mels, imagebind_mels(sound + np.float32(0.25)), atol=1e-3, rtol=0)


def test_steps_that_are_filled_up_are_zeros_before_the_normalisation_and_silence_is_finite():
    mels = imagebind_mels(noise(40_000))
    assert mels[:, :, 198:].numpy() == pytest.approx(4.268 / 9.138)
    silent = imagebind_mels(np.zeros((1, 32_000), np.float32))
    assert silent[:, :, :198].numpy() == pytest.approx((np.log(np.finfo(np.float32).eps) + 4.268) / 9.138)


def test_overlapping_clips_lose_their_mean_once():
    sound = noise(40_000) + np.float32(0.5)
    before = sound.copy()
    imagebind_mels(sound)
    assert np.array_equal(sound, before)
