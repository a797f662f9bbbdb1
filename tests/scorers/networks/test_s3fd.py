"""S3FD finds the faces that the original finds with the same weights."""

import numpy as np
import pytest
import torch

import fill_weights
from mova.scorers.front_ends.opencv import scaled
from mova.scorers.networks.s3fd import S3FD, FaceRules, candidates, decoded, detect_faces, priors
from scorer_records import open_record
from shared_lips import faces_at


@pytest.fixture(scope="module")
def record():
    return open_record("s3fd")


@pytest.fixture(scope="module")
def network(record):
    network = S3FD().eval()
    network.load_state_dict(record.state_dict())
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def image():
    return fill_weights.image("s3fd/picture", 1, 360, 480, 9)


@pytest.fixture(scope="module")
def seen(network, image):
    small = torch.from_numpy(scaled(image[0], 0.25)).permute(2, 0, 1)[None].float()
    assert small.shape == (1, 3, 90, 120)
    return network(small - torch.tensor([123.0, 117.0, 104.0])[:, None, None])


def close(record, found, name):
    rule = record.facts["tolerance"]
    torch.testing.assert_close(found, record.tensors[name], atol=rule["suggested_atol"], rtol=rule["suggested_rtol"])


def test_names_and_shapes_are_the_published_ones(record):
    mine = {name: list(tensor.shape) for name, tensor in S3FD().state_dict().items()}
    assert mine == {name: shape for name, (shape, _) in record.facts["state_dict"].items()}


def test_moves_probabilities_and_priors_are_the_recorded_ones(record, seen):
    moves, chances, places = seen
    close(record, moves, "output.loc")
    close(record, chances, "output.probability")
    close(record, places, "output.priors")


def test_candidates_are_the_recorded_ones_in_their_order(record, seen):
    moves, chances, places = seen
    found = torch.from_numpy(candidates(moves[0], chances[0], places))
    close(record, found[:, [4, 0, 1, 2, 3]], "output.detections")


def test_faces_are_the_recorded_ones(record, network, image):
    (found,) = detect_faces(network, image, FaceRules(least=record.facts["config"]["conf_th"]))
    wanted = record.tensors["output.faces"].numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= record.facts["tolerance"]["faces_atol_pixels"]


def test_frames_looked_at_together_have_the_faces_that_each_has_alone(network):
    frames = fill_weights.image("s3fd/several", 3, 121, 187, 5)
    together = detect_faces(network, frames, FaceRules(least=0.6, scales=(0.5, 0.25)))
    for frame, faces in zip(frames, together, strict=True):
        (alone,) = detect_faces(network, frame[None], FaceRules(least=0.6, scales=(0.5, 0.25)))
        np.testing.assert_allclose(faces, alone, atol=0.01)


def test_faces_are_found_at_their_places_the_surest_first():
    network = S3FD().eval().requires_grad_(False)
    state = faces_at([(160, 120, 120, 140), (60, 60, 40, 50)])
    state["conf.4.bias"][1] = 9.0
    network.load_state_dict(state)
    (found,) = detect_faces(network, np.zeros((1, 240, 320, 3), np.uint8))
    np.testing.assert_allclose(found[:, :4], [[40, 35, 80, 85], [100, 50, 220, 190]], atol=1e-3)
    assert found[0, 4] > found[1, 4] > 0.99
    # In a larger frame each map has several cells.
    (found,) = detect_faces(network, np.zeros((1, 360, 640, 3), np.uint8))
    np.testing.assert_allclose(found[:, :4], [[40, 35, 80, 85], [100, 50, 220, 190]], atol=1e-3)
    (none,) = detect_faces(network, np.zeros((1, 240, 320, 3), np.uint8), FaceRules(least=1.0))
    assert none.shape == (0, 5)


@pytest.mark.parametrize("size", [(1, 1), (60, 300), (111, 640)])
def test_a_frame_that_is_too_small_for_the_network_has_no_face(size):
    network = S3FD().eval().requires_grad_(False)
    (found,) = detect_faces(network, np.zeros((1, *size, 3), np.uint8))
    assert found.shape == (0, 5)


@pytest.mark.parametrize("size", [(112, 112), (113, 201), (320, 180)])
def test_frames_of_any_other_size_are_looked_at(size):
    network = S3FD().eval().requires_grad_(False)
    network.load_state_dict(faces_at([]))
    assert [len(faces) for faces in detect_faces(network, np.zeros((2, *size, 3), np.uint8))] == [0, 0]


def test_no_frames_have_no_faces():
    assert detect_faces(S3FD().eval(), np.zeros((0, 240, 320, 3), np.uint8)) == []


def test_boxes_begin_in_the_middle_of_their_cells():
    maps = [(2, 3), (1, 2), (1, 1), (1, 1), (1, 1), (1, 1)]
    places = priors(maps, (8, 12))
    assert len(places) == 12
    torch.testing.assert_close(places[4], torch.tensor([6 / 12, 6 / 8, 16 / 12, 16 / 8]))
    torch.testing.assert_close(places[7], torch.tensor([12 / 12, 4 / 8, 32 / 12, 32 / 8]))
    moved = decoded(torch.tensor([0.5, -0.5, 0.0, 5 * np.log(2)], dtype=torch.float32), places[4])
    torch.testing.assert_close(
        moved, torch.tensor([6 / 12 + 0.8 / 12 - 8 / 12, 6 / 8 - 0.8 / 8 - 2, 6 / 12 + 8.8 / 12, 6 / 8 - 0.8 / 8 + 2])
    )
