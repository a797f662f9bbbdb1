"""Faces that come one after the other and speech give what the published evaluation gives for the whole clip."""

import numpy as np
import pytest
import torch

import fill_weights
from mova.scorers.networks.syncnet import SyncNet
from mova.scorers.published.lip_embeddings import LipReader, num_windows, speech_embeddings
from mova.scorers.published.lip_shifts import lip_sync, shift_distances
from scorer_records import open_record


@pytest.fixture(scope="module")
def record():
    return open_record("syncnet")


@pytest.fixture(scope="module")
def network(record):
    network = SyncNet().eval()
    network.load_state_dict(record.state_dict(), strict=False)
    return network.requires_grad_(False)


def test_a_whole_clip_gives_the_recorded_offset_confidence_and_distance(record, network):
    # Recorded as blue, green, red; the reader takes red first.
    faces = fill_weights.image("syncnet/video", 30, 224, 224)[..., ::-1]
    sound = fill_weights.waveform("syncnet/sound", 19_200, 16_000)
    reader = LipReader(network)
    for face in faces:
        reader.add(face)
    lips, count = reader.embeddings(), num_windows(len(faces), len(sound))
    assert (lips.shape, count) == ((26, 1024), 25)
    found = lip_sync(shift_distances(lips[:count], speech_embeddings(network, sound, count)))
    rule = record.facts["tolerance"]
    wanted = {name: float(record.tensors[f"output.{name}"]) for name in ("confidence", "min_distance")}
    assert found.offset_frames == int(record.tensors["output.offset"])
    within = {"abs": rule["suggested_atol"], "rel": rule["suggested_rtol"]}
    assert found.confidence == pytest.approx(wanted["confidence"], **within)
    assert found.distance == pytest.approx(wanted["min_distance"], **within)


def test_faces_in_parts_give_the_embeddings_of_each_window_alone(network):
    faces = fill_weights.image("lips/parts", 23, 224, 224)
    reader = LipReader(network)
    for face in faces:
        reader.add(face)
    seen = torch.from_numpy(faces[..., ::-1].copy()).permute(3, 0, 1, 2).float()
    alone = network.forward_lip(torch.stack([seen[:, start : start + 5] for start in (0, 15, 16, 18)]))
    found = reader.embeddings()
    assert found.shape == (19, 1024)
    np.testing.assert_allclose(found[[0, 15, 16, 18]], alone.numpy(), atol=2.5e-4)


def test_fewer_faces_than_a_window_have_no_embedding(network):
    reader = LipReader(network)
    for _ in range(4):
        reader.add(np.zeros((224, 224, 3), np.uint8))
    assert reader.embeddings().shape == (0, 1024)


@pytest.mark.parametrize(
    ("frames", "samples", "count"), [(30, 19_200, 25), (30, 19_199, 24), (6, 64_000, 1), (5, 64_000, 0), (9, 0, 0)]
)
def test_windows_are_one_less_than_could_be(frames, samples, count):
    assert num_windows(frames, samples) == count


def test_speech_has_as_many_windows_as_are_asked_for(network):
    sound = fill_weights.voice("lips/voice", 640 * 75, 16_000)
    assert speech_embeddings(network, sound, 70).shape == (70, 1024)
    assert speech_embeddings(network, sound, 0).shape == (0, 1024)
