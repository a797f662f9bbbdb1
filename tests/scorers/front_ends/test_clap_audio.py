"""What CLAP hears."""

import numpy as np
import pytest
import torch
from transformers import ClapFeatureExtractor

import fill_weights
from mova.scorers.front_ends.clap_audio import clap_mels, fused_mels, normalised, repeated
from scorer_records import open_record


def sound(length, name="hear"):
    return normalised(fill_weights.waveform(name, length, 48_000) / 32768.0)


def test_spectrograms_are_those_that_were_recorded():
    record = open_record("clap")
    mels = clap_mels([sound(386_000, "clap/sound0"), sound(480_000, "clap/sound1")])
    tolerance = record.facts["tolerance"]["suggested_atol"]["frontend.mel_first_channel"]
    wanted = record.tensors
    assert torch.allclose(mels[0, 0], wanted["frontend.mel_first_channel"], rtol=1e-5, atol=tolerance)
    assert torch.allclose(mels[:, 0, ::20], wanted["frontend.mel_every_20th"], rtol=1e-5, atol=tolerance)
    assert all(torch.equal(mels[:, 0], mels[:, channel]) for channel in range(1, 4))


def test_a_peak_lies_at_minus_1_db_in_steps_of_16_bits():
    found = normalised(np.array([0.0, 0.1, -0.2]))
    assert found.tolist() == np.float32([0, 14601 / 32767, -29203 / 32767]).tolist()
    assert found.dtype == np.float32


@pytest.mark.parametrize("silent", [np.zeros(9, np.float32), np.zeros(0, np.float32)], ids=("silent", "empty"))
def test_silence_is_refused_instead_of_divided_by(silent):
    with pytest.raises(ValueError, match="a sample that is not zero"):
        normalised(silent)


def test_short_sounds_are_repeated_as_often_as_they_fit():
    found = repeated(np.arange(1, 200_001, dtype=np.float32))
    assert np.array_equal(found[200_000:400_000], found[:200_000])
    assert not found[400_000:].any()
    assert repeated(np.ones(1, np.float32)).all()


def test_what_is_longer_than_10_s_is_looked_at_as_transformers_does_without_its_dice(monkeypatch):
    long = sound(600_000)
    monkeypatch.setattr(np.random, "choice", lambda options: options[3])
    theirs = ClapFeatureExtractor(truncation="fusion", frequency_min=50)(
        long, sampling_rate=48_000, return_tensors="pt"
    )
    thirds = np.array_split(np.arange(1251 - 1001 + 1), 3)
    ours = fused_mels(long, tuple(int(third[3]) for third in thirds))
    assert ours.shape == theirs["input_features"].shape
    assert torch.allclose(ours, theirs["input_features"], atol=2e-3)
    assert torch.equal(fused_mels(long), fused_mels(long))


@pytest.mark.parametrize("extra", [1, 480, 960])
def test_a_little_more_than_10_s_works_too(extra):
    assert fused_mels(sound(480_000 + extra)).shape == (1, 4, 1001, 64)
