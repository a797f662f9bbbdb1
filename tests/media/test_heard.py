"""When a file is heard."""

import wave

import numpy as np
import pytest

from mova.errors import ReadError
from mova.media.heard import heard_parts
from mova.media.write import write_clip
from mova.types import Clip

RATE = 16_000


def write_wave(path, values):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(values.astype(np.int16).tobytes())
    return path


def tone(*spans, seconds=4.0):
    values = np.zeros(round(seconds * RATE))
    for begin, end in spans:
        part = slice(round(begin * RATE), round(end * RATE))
        values[part] = 9000 * np.sin(np.arange(part.start, min(part.stop, len(values))) * 0.3)
    return values


def test_pauses_part_what_is_heard_and_short_ones_do_not(tmp_path):
    parts = heard_parts(write_wave(tmp_path / "a.wav", tone((0.5, 1.0), (1.2, 1.5), (3.0, 3.5))))
    assert np.array(parts) == pytest.approx(np.array([(0.5, 1.5), (3.0, 3.5)]), abs=0.3)
    assert len(parts) == 2


def test_digital_silence_is_not_heard_and_the_softest_sound_is(tmp_path):
    assert heard_parts(write_wave(tmp_path / "a.wav", np.zeros(RATE))) == ()
    soft = np.zeros(RATE)
    soft[::2] = 1
    assert len(heard_parts(write_wave(tmp_path / "a.wav", soft))) == 1


def test_silence_that_a_lossy_codec_has_coded_is_not_heard(tmp_path):
    frames = np.zeros((24, 32, 32, 3), dtype=np.uint8)
    write_clip(tmp_path / "a.mp4", Clip(frames, np.zeros((1, RATE), dtype=np.float32), 24.0, RATE), allow_silent=True)
    assert heard_parts(tmp_path / "a.mp4") == ()
    write_clip(tmp_path / "b.mp4", Clip(frames, None, 24.0, RATE), allow_silent=True)
    assert heard_parts(tmp_path / "b.mp4") == ()


def test_very_many_parts_are_joined(tmp_path):
    spans = [(start, start + 0.05) for start in np.arange(0, 600, 1.0)]
    parts = heard_parts(write_wave(tmp_path / "a.wav", tone(*spans, seconds=600)))
    assert 1 <= len(parts) <= 256
    assert parts[-1][1] == pytest.approx(599.05, abs=0.3)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(ReadError, match=r"a\.wav"):
        heard_parts(tmp_path / "a.wav")
