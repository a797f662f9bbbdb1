"""What is found out about a source before windows are planned."""

import pytest

from footage_kit import shots, spoken, steady_ticks, write_video
from mova.curate.cut.examine import Wanted, inspect_source, survey_source
from mova.curate.records import State

WANTED = Wanted(1.375)


def make(path, seconds=4.0, **options):
    ticks, base = steady_ticks(24, seconds)
    return write_video(path, shots(seconds, [2.5, 9.0]), ticks, base, **options)


def test_a_sound_source_goes_on(tmp_path):
    path = make(tmp_path / "a.mkv", audio=[spoken(4.0, [(1.0, 3.0)]), spoken(4.0, [])])
    found = inspect_source(path, WANTED)
    assert (found.state, found.reason, found.has_audio) == (State.KEPT, "", True)
    assert found.duration_s == pytest.approx(4.0, abs=0.05)
    assert found.marks[0].startswith("audio_stream: one of 2")


def test_cuts_and_speech_lie_on_the_clock_of_the_video(tmp_path):
    path = make(tmp_path / "a.ts", audio=spoken(4.0, [(1.0, 3.0)]))
    found = survey_source(path, WANTED)
    first = found.footage.frames[0] * found.tick
    assert [float(cut * found.tick - first) for cut in found.footage.cuts] == [pytest.approx(2.5)]
    ((begin, end),) = found.footage.speech
    assert float(begin * found.tick - first) == pytest.approx(1.0, abs=0.25)
    assert float(end * found.tick - first) == pytest.approx(3.0, abs=0.25)


def test_nothing_is_looked_for_that_nobody_wants(tmp_path):
    path = make(tmp_path / "a.mp4", audio=spoken(4.0, [(1.0, 3.0)]))
    found = survey_source(path, Wanted(1.375, shots="none", speech=None, borders=False))
    assert (found.footage.cuts, found.footage.speech, found.pieces[0].box) == ((), (), None)


def test_pieces_of_a_joined_source_lie_end_to_end_on_one_clock(tmp_path):
    whole = make(tmp_path / "a.ts", audio=spoken(4.0, [(1.0, 3.0)])).read_bytes()
    mute = make(tmp_path / "mute.ts").read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(whole + mute + whole)
    one, inspected = survey_source(tmp_path / "a.ts", WANTED), inspect_source(path, WANTED)
    assert (inspected.state, inspected.duration_s) == (State.KEPT, pytest.approx(12.0, abs=0.1))
    assert [reason.partition(":")[0] for reason in inspected.left_out] == ["", "no_audio", ""]
    found = survey_source(path, WANTED, inspected)
    assert found.left_out == (f"piece 2 of 3: {inspected.left_out[1]}",)
    assert [piece.number for piece in found.pieces] == [1, 3]
    shift, (part,) = found.pieces[1].shift, one.footage.parts
    assert found.footage.parts == (part, (part[0] + shift, part[1] + shift))
    assert part[0] + shift == part[1] == found.pieces[1].begin
    assert list(found.footage.frames) == [time + add for add in (0, shift) for time in one.footage.frames]
    assert found.footage.cuts == tuple(cut + add for add in (0, shift) for cut in one.footage.cuts)
    assert len(found.footage.speech) == 2 * len(one.footage.speech) == 2
    for time, number in ((part[0], 1), (part[1] - 1, 1), (part[1], 3), (part[1] + shift, 3)):
        assert found.piece_at(time).number == number


def test_a_joined_source_without_a_good_piece_goes_no_further(tmp_path):
    path = tmp_path / "joined.ts"
    path.write_bytes(make(tmp_path / "mute.ts").read_bytes() * 2)
    assert inspect_source(path, WANTED).reason.startswith("no_audio: ")


def test_sources_that_go_no_further_are_named(tmp_path):
    mute = make(tmp_path / "mute.mp4")
    assert inspect_source(mute, WANTED).reason.startswith("no_audio: ")
    assert inspect_source(mute, Wanted(1.375, needs_audio=False)).state is State.KEPT
    short = make(tmp_path / "short.mp4", 1.0, audio=spoken(1.0, []))
    assert inspect_source(short, WANTED).reason.startswith("too_short: ")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(short.read_bytes()[: short.stat().st_size // 2])
    found = inspect_source(broken, WANTED)
    assert found.state is State.FAILED
    assert found.reason.startswith("corrupt_media: ")
    assert survey_source(broken, WANTED).reason.startswith("corrupt_media: ")
