"""Distances at every shift, and what they say, are those of the published evaluation."""

import numpy as np
import pytest
import torch

import fill_weights
from mova.scorers.published.lip_shifts import lip_sync, shift_distances
from scorer_records import open_record


@pytest.fixture(scope="module")
def record():
    return open_record("syncnet")


@pytest.fixture(scope="module")
def features():
    lips = fill_weights.normal("syncnet/features/lip", (40, 1024))
    noise = fill_weights.normal("syncnet/features/sound", (40, 1024))
    return lips, (0.6 * np.roll(lips, 3, axis=0) + 0.8 * noise).astype(np.float32)


def test_distances_and_results_are_the_recorded_ones(record, features):
    distances = shift_distances(*features)
    rule = record.facts["tolerance"]
    within = {"atol": rule["suggested_atol"], "rtol": rule["suggested_rtol"]}
    wanted = {name.rsplit(".", 1)[1]: one for name, one in record.tensors.items() if "arithmetic" in name}
    torch.testing.assert_close(torch.from_numpy(distances), wanted["distances"], **within)
    torch.testing.assert_close(torch.from_numpy(distances.mean(axis=1)), wanted["mean_distance"], **within)
    found = lip_sync(distances)
    assert found.offset_frames == int(wanted["offset"]) == -3
    assert found.confidence == pytest.approx(float(wanted["confidence"]), abs=within["atol"])
    assert found.distance == pytest.approx(float(wanted["min_distance"]), abs=within["atol"])


@pytest.mark.parametrize("shift", [-7, 0, 4])
def test_speech_that_comes_later_has_a_negative_offset(features, shift):
    lips = features[0]
    found = lip_sync(shift_distances(lips, np.roll(lips, shift, axis=0)))
    assert found.offset_frames == -shift


def test_beyond_its_ends_speech_is_zero(features):
    lips, speech = features
    distances = shift_distances(lips, speech)
    assert distances[-1, -1] == pytest.approx(np.linalg.norm(lips[-1]), rel=1e-5)
    assert distances[0, 0] == pytest.approx(np.linalg.norm(lips[0]), rel=1e-5)


def test_one_window_and_fewer_shifts_are_enough(features):
    lips, speech = features
    distances = shift_distances(lips[:1], speech[:1], most=2)
    assert distances.shape == (5, 1)
    assert lip_sync(distances).distance == pytest.approx(float(distances.min()))
