"""Mel spectrograms by their parameters."""

import numpy as np
import pytest
import torch

from mova.scorers.front_ends.log_mel import MelScale, MelSettings, decibels, mel_matrix, mel_powers
from mova.scorers.spectrum import import_librosa

CLAP = MelSettings(48_000, 1024, 480, 64, 50.0, 14_000.0)


@pytest.mark.parametrize(
    "settings",
    [
        CLAP,
        MelSettings(32_000, 1024, 320, 64, 50.0, 14_000.0, scale=MelScale.SLANEY, area_norm=True),
        MelSettings(16_000, 1024, 160, 128, 0.0, 8_000.0, window=400),
    ],
    ids=("clap", "cnn14", "synchformer"),
)
def test_powers_equal_those_of_librosa(settings):
    librosa = import_librosa()
    sound = np.random.default_rng(0).standard_normal(settings.sample_rate // 4).astype(np.float32)
    theirs = librosa.feature.melspectrogram(
        y=sound,
        sr=settings.sample_rate,
        n_fft=settings.fft_size,
        hop_length=settings.hop,
        win_length=settings.window or settings.fft_size,
        pad_mode="reflect",
        n_mels=settings.num_bands,
        fmin=settings.low_hz,
        fmax=settings.high_hz,
        htk=settings.scale is MelScale.HTK,
        norm="slaney" if settings.area_norm else None,
    )
    ours = mel_powers(torch.from_numpy(sound), settings)
    assert ours.shape == (1 + len(sound) // settings.hop, settings.num_bands)
    assert np.allclose(ours.numpy(), theirs.T, rtol=2e-4, atol=1e-6)


def test_a_batch_is_its_sounds():
    sounds = torch.randn(2, 3, 4800, generator=torch.Generator().manual_seed(0))
    together = mel_powers(sounds, CLAP)
    assert together.shape == (2, 3, 11, 64)
    assert torch.allclose(together[1, 2], mel_powers(sounds[1, 2], CLAP), rtol=1e-5)


def test_a_sound_shorter_than_a_window_is_said_to_be():
    with pytest.raises(ValueError, match="513 samples or more, got 512"):
        mel_powers(torch.zeros(512), CLAP)


def test_silence_has_a_floor_in_decibels():
    assert decibels(mel_powers(torch.zeros(4800), CLAP)).unique().tolist() == [-100.0]


def test_a_matrix_is_made_once():
    assert mel_matrix(CLAP) is mel_matrix(MelSettings(48_000, 1024, 480, 64, 50.0, 14_000.0))
