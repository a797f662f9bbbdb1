"""Coefficients of speech are those that SyncNet was taught with."""

import numpy as np
import pytest

import fill_weights
from mova.scorers.front_ends.mfcc import mfcc, to_16_bits
from scorer_records import open_record


def test_they_are_the_recorded_ones():
    record = open_record("syncnet")
    found = mfcc(fill_weights.waveform("syncnet/sound", 19_200, 16_000))
    wanted = record.tensors["frontend.mfcc"].numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= record.facts["tolerance"]["mfcc_atol"]


@pytest.mark.parametrize(("samples", "columns"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (16_000, 99)])
def test_there_is_a_column_each_10_ms_and_the_last_is_filled_up(samples, columns):
    found = mfcc(fill_weights.waveform("mfcc/length", samples, 16_000))
    assert found.shape == (columns, 13)
    assert np.isfinite(found).all()


def test_silence_has_the_smallest_energy_and_no_shape():
    found = mfcc(np.zeros(1600, np.int16))
    assert found[:, 0] == pytest.approx(np.log(np.finfo(float).eps))
    assert np.abs(found[:, 1:]).max() < 1e-9


def test_a_louder_sound_changes_the_energy_alone():
    sound = fill_weights.voice("mfcc/voice", 3200, 16_000).astype(float)
    soft, loud = mfcc(sound), mfcc(2.0 * sound)
    np.testing.assert_allclose(loud[:, 0] - soft[:, 0], np.log(4.0))
    np.testing.assert_allclose(loud[:, 1:], soft[:, 1:], atol=1e-9)


def test_full_scale_becomes_whole_numbers_of_16_bits():
    assert to_16_bits(np.array([-1.0, -0.5, 0.0, 0.5 / 32768, 1.0], np.float32)).tolist() == [
        -32768,
        -16384,
        0,
        0,
        32767,
    ]
