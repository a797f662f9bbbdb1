"""Windows of a source to clips: what is seen and heard stays together, whatever the source's rate."""

from fractions import Fraction

import av
import numpy as np
import pytest

from footage_kit import (
    beeps,
    event_times,
    flash_and_beep,
    flash_frames,
    seen_and_heard,
    steady_ticks,
    uneven_ticks,
    write_video,
)
from mova.errors import ReadError
from mova.media.transcode.clips import ClipWindow, SourceView, cut_clips
from mova.media.transcode.encode import ClipFormat
from mova.media.transcode.survey import survey_video

FORM = ClipFormat(33, Fraction(24), (96, 160), preset="ultrafast")
HALF_A_FRAME_S = 0.5 / 24
RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
    "variable": None,
}


def windows_of(path, folder, starts_s):
    survey = survey_video(path, None, None)
    origin = survey.frames[0]
    times = [next(t for t in survey.frames if (t - origin) * survey.tick >= start) for start in starts_s]
    return [ClipWindow(time * survey.tick, folder / f"{index}.mp4") for index, time in enumerate(times)], (
        float(origin * survey.tick)
    )


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("rate", RATES)
def test_flash_and_beep_stay_within_half_a_frame(tmp_path, rate, container):
    ticks, base = uneven_ticks(7.0) if RATES[rate] is None else steady_ticks(RATES[rate], 7.0)
    source = tmp_path / f"source.{container}"
    flash_and_beep(source, ticks, base)
    windows, _ = windows_of(source, tmp_path, (0.0, 1.8, 3.6, 5.4))
    assert [found.error for found in cut_clips(source, windows, FORM, SourceView())] == [""] * 4
    for window in windows:
        flashes, heard = seen_and_heard(window.target)
        flashes = [time for time in flashes if time > 0.1]
        heard = [time for time in heard if time > 0.1]
        assert len(flashes) == len(heard) >= 1
        for flash, beep in ((flashes[0], heard[0]), (flashes[-1], heard[-1])):
            assert abs(flash - beep) < HALF_A_FRAME_S


@pytest.mark.parametrize(("name", "audio_codec"), [("source.ts", "mp2"), ("source.mkv", "flac")])
def test_events_that_begin_in_a_second_field_stay_within_half_a_frame(tmp_path, name, audio_codec):
    ticks, base = steady_ticks(50, 12.0)
    events = event_times(ticks, base, 0.57)
    assert {round(event * 50) % 2 for event in events} == {0, 1}
    fields = list(flash_frames(ticks, base, events))
    frames = [first.copy() for first in fields[::2]]
    for frame, second in zip(frames, fields[1::2], strict=True):
        # The lower field is shown first: PyAV's encoders flag it so.
        frame[::2] = second[::2]
    source = write_video(
        tmp_path / name,
        frames,
        *steady_ticks(25, 12.0),
        audio=beeps(events, 12.0),
        audio_codec=audio_codec,
        codec="mpeg2video",
        codec_options={"flags": "+ildct+ilme"},
    )
    windows, _ = windows_of(source, tmp_path, [1.4 * number for number in range(8)])
    cut_clips(source, windows, FORM, SourceView())
    for window in windows:
        flashes, heard = ([time for time in times if time > 0.1] for times in seen_and_heard(window.target))
        assert len(flashes) == len(heard) >= 1
        for flash, beep in zip(flashes, heard, strict=True):
            assert abs(flash - beep) < HALF_A_FRAME_S


def test_events_lie_where_the_source_has_them(tmp_path):
    ticks, base = steady_ticks(25, 7.0)
    source = tmp_path / "source.ts"
    events = flash_and_beep(source, ticks, base)
    windows, origin_s = windows_of(source, tmp_path, (1.0, 4.0))
    cut_clips(source, windows, FORM, SourceView())
    for window in windows:
        begin = float(window.start) - origin_s
        expected = [event - begin for event in events if begin + 0.1 < event < begin + 1.3]
        _, heard = seen_and_heard(window.target)
        assert [time for time in heard if 0.1 < time < 1.3] == pytest.approx(expected, abs=0.0015)


@pytest.mark.parametrize("start_s", [0.25, -0.1])
def test_audio_that_starts_late_or_early_is_placed_and_told_of(tmp_path, start_s):
    ticks, base = steady_ticks(24, 3.0)
    source = tmp_path / "source.mkv"
    flash_and_beep(source, ticks, base, audio_start_s=start_s, audio_codec="flac")
    windows, _ = windows_of(source, tmp_path, (0.0, 1.4))
    first, second = cut_clips(source, windows, FORM, SourceView())
    assert first.lead_s == pytest.approx(max(0.0, start_s), abs=0.002)
    assert second.lead_s == 0.0
    for window in windows:
        flashes, heard = seen_and_heard(window.target)
        assert abs(flashes[-1] - heard[-1]) < HALF_A_FRAME_S


def test_audio_that_ends_early_is_filled_with_silence(tmp_path):
    ticks, base = steady_ticks(24, 3.0)
    events = event_times(ticks, base, 0.6)
    audio = beeps(events[:2], 2.0)
    source = write_video(tmp_path / "a.mkv", flash_frames(ticks, base, events), ticks, base, audio=audio)
    windows, _ = windows_of(source, tmp_path, (1.4,))
    (found,) = cut_clips(source, windows, FORM, SourceView())
    assert found.error == ""
    assert found.tail_s == pytest.approx(1.375 - 0.6, abs=0.05)


def test_a_source_without_audio_is_refused_or_silent_as_asked(tmp_path):
    ticks, base = steady_ticks(24, 2.0)
    source = write_video(tmp_path / "a.mp4", flash_frames(ticks, base, [1.0]), ticks, base)
    windows, _ = windows_of(source, tmp_path, (0.0,))
    assert "must have audio" in cut_clips(source, windows, FORM, SourceView())[0].error
    assert not windows[0].target.exists()
    assert cut_clips(source, windows, FORM, SourceView(is_silent=True))[0].error == ""
    assert not seen_and_heard(windows[0].target)[1]


def test_a_folder_that_is_not_there_ends_the_run_and_damage_in_one_window_spares_the_others(tmp_path):
    ticks, base = steady_ticks(24, 6.0)
    source = tmp_path / "source.mkv"
    flash_and_beep(source, ticks, base, audio_codec="pcm_f32le")
    windows, _ = windows_of(source, tmp_path, (0.0, 2.0, 4.0))
    with pytest.raises(OSError, match="No such file"):
        cut_clips(source, [ClipWindow(windows[0].start, tmp_path / "missing" / "a.mp4")], FORM, SourceView())
    content = bytearray(source.read_bytes())
    # A number that is none, in audio of the middle window.
    place = content.index(np.float32(0.0).tobytes() * 64, len(content) // 2) + 32
    content[place : place + 16] = b"\xff" * 16
    source.write_bytes(content)
    errors = [found.error for found in cut_clips(source, windows, FORM, SourceView())]
    assert [bool(error) for error in errors] == [False, True, False]
    assert not windows[1].target.exists()


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(ReadError):
        cut_clips(tmp_path / "a.mp4", [], FORM, SourceView())


def test_memory_is_flat_and_nothing_is_left_behind(tmp_path):
    ticks, base = steady_ticks(24, 6.0)
    source = tmp_path / "source.mp4"
    flash_and_beep(source, ticks, base, gop=200)
    windows, _ = windows_of(source, tmp_path, (0.0, 1.4, 4.4))
    cut_clips(source, windows, FORM, SourceView())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "1.mp4", "2.mp4", "source.mp4"]
    with av.open(str(tmp_path / "2.mp4")) as file:
        frames = [frame.to_ndarray(format="gray").mean() for frame in file.decode(video=0)]
    assert len(frames) == 33
    assert np.isfinite(frames).all()
