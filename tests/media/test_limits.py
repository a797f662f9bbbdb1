import struct

import pytest

from mova.errors import ReadError
from mova.media import limits
from mova.media.probe import probe_audio


@pytest.mark.parametrize(("rate", "channels"), [(1_000_000_000, 1), (1, 1), (8_000, 0), (8_000, 4096)])
def test_absurd_audio_is_refused_from_the_header(tmp_path, rate, channels):
    form = struct.pack("<HHIIHH", 1, channels, rate, (rate * channels * 2) % 2**32, (channels * 2) % 2**16, 16)
    data = bytes(40_000)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(ReadError, match=r"sound\.wav"):
        probe_audio(path)


@pytest.mark.parametrize(
    ("check", "arguments", "text"),
    [
        (limits.check_image_size, (13_300, 13_300, "PNG"), r"got x of 13300x13300; nearest is 10488x10488"),
        (
            limits.check_image_size,
            (9_000, 9_000, "WEBP"),
            r"1 to 64000000 pixels, got x of 9000x9000; nearest is 8000x8000",
        ),
        (limits.check_image_size, (0, 5, None), r"1 to 110000000 pixels, got x of 0x5$"),
        (limits.check_video_size, (20_000, 10), r"16384 in a row or column, got x of 20000x10"),
        (limits.check_audio, (500, 1), r"with 500; nearest is 1000"),
        (limits.check_audio, (48_000, 65), r"with 65; nearest is 64"),
        (limits.check_frame_rate, (0.0,), r"got x with 0; ask for a rate"),
        (limits.check_time, (float("nan"),), r"got nan s in x"),
        (limits.check_waveform, (1 << 30, 2), r"at most 67108864 samples of 2 channels"),
        (limits.check_file_size, (1 << 40,), r"at most 68719476736 bytes, got x of 1099511627776"),
    ],
)
def test_each_limit_states_rule_value_and_nearest(check, arguments, text):
    with pytest.raises(ReadError, match=text):
        check(*arguments, "x")


def test_a_video_read_to_its_end_is_bounded_by_its_bytes():
    limits.check_unasked_frames(1_000, (512, 1024), "x")
    with pytest.raises(ReadError, match="at most 1024 frames of 1024x512"):
        limits.check_unasked_frames(1_025, (512, 1024), "x")
