"""Products are opened again: what is not the clip that was promised is refused."""

from dataclasses import replace
from fractions import Fraction

import pytest

from footage_kit import beeps, flash_and_beep, shots, steady_ticks, write_video
from mova.errors import MuxError
from mova.media.transcode.clips import ClipWindow, SourceView, cut_clips
from mova.media.transcode.encode import ClipFormat
from mova.media.transcode.verify import verify_clip

FORM = ClipFormat(33, Fraction(24), (96, 160), preset="ultrafast")


@pytest.fixture
def clip(tmp_path):
    ticks, base = steady_ticks(24, 2.0)
    flash_and_beep(tmp_path / "source.mp4", ticks, base)
    cut_clips(tmp_path / "source.mp4", [ClipWindow(Fraction(0), tmp_path / "clip.mp4")], FORM, SourceView())
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"num_frames": 29}, "must have 29 frames, got 33"),
        ({"frame_rate": Fraction(25)}, "frames must be 1/25 s apart"),
        ({"size": (96, 128)}, "must have 128x96 pixels, got 160x96"),
        ({"sample_rate": 44_100}, "Hz"),
    ],
)
def test_another_clip_than_was_promised_is_refused(clip, change, text):
    verify_clip(clip, FORM)
    with pytest.raises(MuxError, match=text):
        verify_clip(clip, replace(FORM, **change))


def test_files_that_are_no_clips_are_refused(tmp_path, clip):
    ticks, base = steady_ticks(24, 33 / 24)
    frames = shots(33 / 24, [9.0], size=(96, 160))
    audio = beeps([0.5], 33 / 24)
    untagged = write_video(tmp_path / "untagged.mp4", frames, ticks, base, audio=audio)
    with pytest.raises(MuxError, match=r"BT\.709"):
        verify_clip(untagged, FORM)
    mute = write_video(tmp_path / "mute.mp4", frames, ticks, base)
    with pytest.raises(MuxError):
        verify_clip(mute, FORM)
    clip.write_bytes(clip.read_bytes()[:5000])
    with pytest.raises(MuxError, match="must have 33 frames"):
        verify_clip(clip, FORM)
