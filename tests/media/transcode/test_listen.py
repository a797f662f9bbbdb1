"""One pass over audio: pieces on the file's clock, resampled without a shift."""

import numpy as np
import pytest

from footage_kit import beeps, shots, steady_ticks, write_video
from mova.errors import ReadError
from mova.media.transcode.listen import listen


def make(path, audio, **options):
    ticks, base = steady_ticks(24, 2.0)
    return write_video(path, shots(2.0, [9.0]), ticks, base, audio=audio, **options)


def heard_from(pieces, rate=16_000):
    """Return when tones begin."""
    found = []
    for piece in pieces:
        loud = np.flatnonzero(np.abs(piece.waveform) > 0.3)
        found += [piece.time_s + at / rate for at in loud]
    return [time for time, before in zip(found, [-9.0, *found], strict=False) if time - before > 0.2]


@pytest.mark.parametrize(("rate", "layout"), [(48_000, "mono"), (44_100, "stereo"), (16_000, "mono"), (48_000, "5.1")])
def test_tones_lie_where_they_are_whatever_the_rate_and_layout(tmp_path, rate, layout):
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    audio = np.repeat(beeps([0.5, 1.25], 2.0, rate), channels, axis=0)
    path = make(tmp_path / "a.mkv", audio, sample_rate=rate, layout=layout, audio_codec="flac")
    pieces = list(listen(path, 16_000))
    assert [piece.is_new for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert heard_from(pieces) == pytest.approx([0.5, 1.25], abs=0.002)
    assert sum(piece.waveform.size for piece in pieces) == pytest.approx(32_000, abs=700)


def test_audio_that_starts_late_begins_late(tmp_path):
    path = make(tmp_path / "a.mkv", beeps([0.5], 1.5, start_s=0.25), audio_start_s=0.25, audio_codec="flac")
    pieces = list(listen(path, 16_000))
    assert pieces[0].time_s == pytest.approx(0.25, abs=0.001)
    assert heard_from(pieces) == pytest.approx([0.5], abs=0.002)


def test_a_file_without_audio_gives_nothing(tmp_path):
    assert list(listen(make(tmp_path / "a.mp4", None), 16_000)) == []


def test_numbers_that_are_none_are_refused(tmp_path):
    audio = beeps([0.5], 2.0)
    audio[0, 40_000] = np.nan
    with pytest.raises(ReadError, match="finite"):
        list(listen(make(tmp_path / "a.mkv", audio, audio_codec="pcm_f32le"), 16_000))
