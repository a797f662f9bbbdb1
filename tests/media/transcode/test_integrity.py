"""Whether a file is whole, from its packets and its ends."""

from fractions import Fraction

import pytest

from footage_kit import beeps, shots, steady_ticks, write_video
from mova.errors import ReadError
from mova.media.transcode.integrity import check_integrity


def make(path, seconds=4.0, **options):
    ticks, base = steady_ticks(24, seconds)
    return write_video(path, shots(seconds, [9.0]), ticks, base, **options)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi", "mov"])
def test_whole_files_say_how_long_they_are(tmp_path, ending):
    codecs = {"codec": "mpeg4", "audio_codec": "pcm_s16le"} if ending == "avi" else {}
    found = check_integrity(make(tmp_path / f"a.{ending}", audio=beeps([1.0], 4.0), **codecs))
    assert found.video.duration_s == pytest.approx(4.0, abs=0.05)
    assert found.audio.duration_s == pytest.approx(4.0, abs=0.06)
    assert (found.video.num_packets, found.num_audio) == (96, 1)


def test_streams_that_are_missing_or_several_are_told_of(tmp_path):
    assert check_integrity(make(tmp_path / "a.mp4")).audio is None
    both = check_integrity(make(tmp_path / "b.mkv", audio=[beeps([1.0], 4.0), beeps([2.0], 4.0)]))
    assert both.num_audio == 2


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_files_that_break_off_are_refused(tmp_path, ending):
    codecs = {"codec": "mpeg4", "audio_codec": "pcm_s16le"} if ending == "avi" else {}
    options = {"movflags": "+faststart"} if ending == "mp4" else {}
    path = make(tmp_path / f"a.{ending}", audio=beeps([1.0], 4.0), options=options, **codecs)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ReadError, match=r"as long as it declares|decodable"):
        check_integrity(path)


def test_a_clock_that_goes_back_begins_a_piece_where_pieces_can_be_read(tmp_path):
    whole = make(tmp_path / "a.ts", audio=beeps([1.0], 4.0)).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(whole * 3)
    parts = check_integrity(joined).parts
    assert len(parts) == 3
    for part in parts:
        found = check_integrity(part)
        assert found.video.num_packets == 96
        assert found.video.duration_s == pytest.approx(4.0, abs=0.05)
        assert found.audio.duration_s == pytest.approx(4.0, abs=0.06)
    assert check_integrity(tmp_path / "a.ts").parts == ()


def test_streams_with_other_numbers_begin_a_piece(tmp_path):
    one = make(tmp_path / "a.ts", audio=beeps([1.0], 4.0)).read_bytes()
    other = make(tmp_path / "b.ts", audio=beeps([1.0], 4.0), options={"mpegts_start_pid": "512"}).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one + other)
    parts = check_integrity(joined).parts
    assert [part.end for part in parts] == [parts[1].begin + 564, len(one + other)]
    for part in parts:
        found = check_integrity(part)
        assert found.video.num_packets == 96
        assert found.audio.duration_s == pytest.approx(4.0, abs=0.06)


def test_a_clock_that_goes_back_is_refused_elsewhere(tmp_path):
    content = make(tmp_path / "a.flv", codec="flv", audio=beeps([1.0], 4.0)).read_bytes()
    joined = tmp_path / "joined.flv"
    joined.write_bytes(content + content[13:])
    with pytest.raises(ReadError, match="clock must go forward"):
        check_integrity(joined)


def test_what_was_not_received_is_no_length(tmp_path):
    ticks, base = steady_ticks(24, 4.0)
    later = [tick + (24 * 600 if tick >= 48 else 0) for tick in ticks]
    path = write_video(tmp_path / "a.ts", shots(4.0, [9.0]), later, base, rate=Fraction(24))
    assert check_integrity(path).video.duration_s == pytest.approx(4.0, abs=0.1)
