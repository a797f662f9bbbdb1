"""What models are shown of a clip."""

import base64
import io
import wave

import numpy as np
import pytest
from PIL import Image

from mova.curate.caption.media import SAMPLE_RATE, show
from mova.errors import ReadError
from shared_captions import write_media


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "one.mp4"
    write_media(path)
    return path


def opened(image):
    return Image.open(io.BytesIO(base64.b64decode(image.url.partition(",")[2])))


@pytest.mark.parametrize(("frames", "expected"), [(1, 1), (4, 4), (7, 7), (24, 24), (100, 24)])
def test_frames_are_spread_over_the_clip(path, frames, expected):
    shown = show(path, frames=frames, short_side=64)
    assert len(shown.images) == len(shown.times_s) == expected
    assert shown.duration_s == 1.0
    assert shown.times_s == pytest.approx([index / expected for index in range(expected)], abs=1e-4)
    reds = [np.asarray(opened(image))[:, :, 0] for image in shown.images]
    assert [float(red.mean()) for red in reds] == pytest.approx([240 * time for time in shown.times_s], abs=16)


def test_frames_are_made_smaller_and_never_larger(path):
    sizes = [opened(show(path, frames=1, short_side=side).images[0]).size for side in (32, 640)]
    assert sizes == [(48, 32), (96, 64)]


def test_the_audio_is_a_small_wav(path):
    with wave.open(io.BytesIO(show(path, frames=1, short_side=64).audio.wav)) as wav:
        assert (wav.getframerate(), wav.getnframes(), wav.getnchannels()) == (SAMPLE_RATE, SAMPLE_RATE, 1)


def test_silence_is_not_sent(tmp_path):
    write_media(tmp_path / "silent.mp4", silent=True)
    assert show(tmp_path / "silent.mp4", frames=1, short_side=64).audio is None


def test_what_is_no_clip_is_an_error(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for name in ("bad.mp4", "none.mp4", ""):
        with pytest.raises(ReadError):
            show(tmp_path / name, frames=1, short_side=64)
