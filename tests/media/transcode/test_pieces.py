"""Pieces of joined recordings, by the places where the clocks of their streams go back."""

import pytest

from mova.files.part import FilePart
from mova.media.transcode.pieces import StepBack, split

PACKET = b"\x47" + bytes(187)


@pytest.fixture
def stream(tmp_path):
    path = tmp_path / "a.ts"
    path.write_bytes(PACKET * 100)
    return path


def back(last, first, length=188):
    return StepBack(3.0, last * length, first * length)


def spans(path, video, audio, length=188):
    parts = split(FilePart(path, 0, path.stat().st_size, "mpegts"), video, audio)
    assert {part.form for part in parts} == {"mpegts"}
    return [(part.begin / length, part.end / length) for part in parts]


def test_a_piece_begins_behind_the_last_packet_of_the_one_before(stream):
    # Tables lie between them.
    assert spans(stream, [back(40, 45)], [back(42, 47), back(95, 100)]) == [(0, 45), (43, 100)]


def test_what_lies_between_the_changes_of_two_streams_belongs_to_no_piece(stream):
    assert spans(stream, [back(40, 41)], [back(60, 61), back(95, 100)]) == [(0, 41), (61, 100)]
    assert spans(stream, [back(60, 61)], [back(40, 41), back(95, 100)]) == [(0, 41), (61, 100)]


def test_audio_belongs_to_the_change_that_is_nearest(stream):
    video, audio = [back(29, 30), back(59, 60)], [back(31, 32), back(58, 59), back(95, 100)]
    assert spans(stream, video, audio) == [(0, 30), (32, 59), (60, 100)]


def test_audio_that_ends_with_a_piece_does_not_reach_into_the_next(stream):
    assert spans(stream, [back(40, 45)], [back(42, 100)]) == [(0, 45), (43, 100)]
    assert spans(stream, [back(40, 45)], []) == [(0, 45), (41, 100)]
    # It pauses for a piece and goes on in the third.
    assert spans(stream, [back(40, 45), back(70, 75)], [back(42, 77), back(95, 100)])[1][0] == 43


def test_other_packets_are_known_by_their_marks(tmp_path):
    path = tmp_path / "a.m2ts"
    path.write_bytes((bytes(4) + PACKET) * 100)
    assert spans(path, [back(40, 45, 192)], [], 192) == [(0, 45), (41, 100)]
    path.write_bytes(bytes(range(256)) * 100)
    assert spans(path, [back(40, 45, 256)], [], 256) == [(0, 45), (45, 100)]
    assert spans(path, [back(40, 45, 256)], [back(50, 51, 256)], 256) == [(0, 45), (51, 100)]
