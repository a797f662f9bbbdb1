"""Faces become persons and are cut out as the published pipeline does it, its oddities included."""

import numpy as np
import pytest

import fill_weights
from mova.scorers.front_ends.face_tracks import FaceTrack, TrackRules, cut_out, face_tracks
from scorer_records import open_record

BOX = (100.0, 50.0, 220.0, 190.0)


def standing(frames, boxes=(BOX,)):
    return [np.array(boxes, float).reshape(-1, 4) for _ in range(frames)]


@pytest.fixture(scope="module")
def record():
    return open_record("arithmetic", "face_tracks")


def test_tracks_squares_and_crops_are_the_recorded_ones(record):
    frames = fill_weights.image("tracks/frames", 60, 240, 320, 12)
    tracks = face_tracks([np.array(boxes) for boxes in record.facts["detections"]])
    assert len(tracks) == 2
    within = record.facts["tolerance"]
    for number, track in enumerate(tracks):
        wanted = {name: record.tensors[f"output.{number}.{name}"].numpy() for name in ("frames", "boxes")}
        assert list(track.frames) == wanted["frames"].tolist()
        assert np.abs(track.boxes - wanted["boxes"]).max() <= within["boxes"]
        squares = [record.tensors[f"output.{number}.{name}"].numpy() for name in ("centre_x", "centre_y", "half_size")]
        assert np.abs(track.squares - np.stack(squares, axis=1)).max() <= within["boxes"]
        crops = record.tensors[f"output.{number}.crops_every_10th"].numpy().astype(int)
        for found, place in zip(crops, range(0, len(track.boxes), 10), strict=True):
            cut = cut_out(frames[track.frames[place]], track.squares[place])
            assert cut.shape == (224, 224, 3)
            assert np.abs(cut[::4, ::4] - found).max() <= within["crops"]
        # The sound of a person lies between the same frames.
        cut_s = [track.first / 25, track.frames.stop / 25]
        assert cut_s == pytest.approx(record.facts["sound_cut_seconds"][number])


@pytest.mark.parametrize(("frames", "count"), [(0, 0), (20, 0), (21, 1)])
def test_a_person_has_more_than_twenty_faces(frames, count):
    assert len(face_tracks(standing(frames))) == count


def test_a_face_must_be_larger_than_a_hundred_pixels_in_one_direction():
    assert face_tracks(standing(30, [(0, 0, 100, 100)])) == []
    assert len(face_tracks(standing(30, [(0, 0, 80, 101)]))) == 1


def test_gaps_of_a_second_are_filled_and_longer_ones_end_a_person():
    faces = standing(75)
    for number in range(25, 49):
        faces[number] = np.zeros((0, 4))
    faces[49] = np.array([[BOX[0] + 25, BOX[1], BOX[2] + 25, BOX[3]]])
    (track,) = face_tracks(faces)
    assert list(track.frames) == list(range(75))
    assert track.boxes[25, 0] == pytest.approx(101.0)
    faces[49] = np.zeros((0, 4))
    assert [(track.first, len(track.boxes)) for track in face_tracks(faces)] == [(0, 25), (50, 25)]


def test_faces_that_jump_are_other_persons():
    faces = standing(25) + standing(25, [(160, 120, 280, 260)])
    assert [track.first for track in face_tracks(faces)] == [0, 25]


def test_persons_end_with_their_shot():
    faces = standing(60)
    assert [(track.first, len(track.boxes)) for track in face_tracks(faces, [30])] == [(0, 30), (30, 30)]
    # A shot of fewer than 20 frames is not looked at.
    assert [track.first for track in face_tracks(faces, [19, 41])] == [19]


def test_two_persons_in_the_same_frames_are_told_apart():
    found = face_tracks(standing(30, [BOX, (400, 50, 520, 190)]))
    assert [track.boxes[3, 0] for track in found] == [100.0, 400.0]


def test_the_face_behind_one_that_was_taken_is_passed_over():
    # In a plain walk the second of two faces at the same place would be a member too.
    found = face_tracks(standing(30, [BOX, BOX]))
    assert [len(track.boxes) for track in found] == [30, 30]


def test_other_rules_may_be_asked_for():
    rules = TrackRules(least_faces=3, least_pixels=10.0)
    assert len(face_tracks(standing(4, [(0, 0, 12, 12)]), rules=rules)) == 1


def test_boxes_at_both_ends_become_smaller_of_those_beside_them():
    boxes = np.array([[0, 0, 100 + 2 * index, 100] for index in range(21)], float)
    half = FaceTrack(0, boxes).squares[:, 2]
    assert half[0] == 50.0
    assert half[10] == 60.0
    assert half[-1] == pytest.approx(64.0)


@pytest.mark.parametrize("square", [(0, 0, 60), (320, 240, 60), (160, 120, 300), (10, 230, 55.5)])
def test_what_lies_beyond_the_frame_is_grey(square):
    frame = np.full((240, 320, 3), 200, np.uint8)
    cut = cut_out(frame, np.array(square, float))
    assert cut.shape == (224, 224, 3)
    assert {110, 200} <= set(np.unique(cut).tolist())


@pytest.mark.parametrize("square", [(-500, 120, 60), (160, -900, 60), (9000, 9000, 60), (160, 120, 0.2)])
def test_a_face_beside_the_frame_is_grey_and_one_without_extent_a_pixel(square):
    cut = cut_out(np.full((240, 320, 3), 200, np.uint8), np.array(square, float))
    assert cut.shape == (224, 224, 3)
    assert len(np.unique(cut)) == 1
