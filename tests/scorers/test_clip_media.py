"""A clip is decoded as scorers want it, once for each way."""

import numpy as np
import pytest

from mova.errors import ReadError
from mova.media.write import write_clip
from mova.scorers.clip_media import ClipMedia
from mova.types import Clip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "one.mp4"
    frames = np.full((24, 64, 96, 3), 90, np.uint8)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000, dtype=np.float32)[None]
    write_clip(path, Clip(frames, tone, 24.0, 48_000))
    return path


def test_frames_and_audio_come_in_the_wanted_rate_and_size(path):
    clip = ClipMedia(path)
    assert (clip.num_frames, clip.frame_rate, clip.has_audio) == (24, 24.0, True)
    assert clip.frames().shape == (24, 64, 96, 3)
    assert clip.frames(frame_rate=4, short_side=32).shape == (4, 32, 48, 3)
    assert clip.waveform(16_000).shape == (16_000,)


def test_what_was_decoded_is_not_decoded_again(path):
    clip = ClipMedia(path)
    assert clip.frames(short_side=32) is clip.frames(short_side=32)
    assert clip.waveform(16_000) is clip.waveform(16_000)


def test_a_file_that_cannot_be_read_is_an_error_when_it_is_looked_at(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    clip = ClipMedia(tmp_path / "bad.mp4", "a prompt")
    assert clip.prompt == "a prompt"
    with pytest.raises(ReadError, match=r"bad\.mp4"):
        clip.frames()
