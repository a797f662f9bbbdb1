"""Whether a file is whole, from its packets and its ends."""

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


def test_a_clock_that_goes_back_is_refused(tmp_path):
    pieces = [make(tmp_path / f"{index}.ts", audio=beeps([1.0], 4.0)) for index in range(2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with pytest.raises(ReadError, match="clock must go forward"):
        check_integrity(joined)
