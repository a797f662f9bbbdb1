import wave
from fractions import Fraction

import av
import numpy as np
import pytest

from mova.errors import ReadError
from mova.media.probe import probe, probe_audio
from mova.media.read import read_clip


def test_says_what_a_film_holds(films, tmp_path):
    sound = films.clicks([0.5], 2.0, 44_100, channels=2)
    path = films.make(
        tmp_path / "film.mp4",
        films.numbered(50),
        rate=25,
        aspect=Fraction(4, 3),
        degrees=90,
        sound=sound,
        sample_rate=44_100,
        layout="stereo",
    )
    info = probe(path)
    assert info.container.startswith("mov")
    assert info.duration_s == pytest.approx(2.0, abs=0.05)
    video, audio = info.video, info.audio
    assert (video.codec, video.coded_size, video.display_size) == ("h264", (32, 80), (107, 32))
    assert video.pixel_aspect == pytest.approx(4 / 3)
    assert (video.quarter_turns, video.is_mirrored) == (1, False)
    assert (video.frame_rate, video.is_variable_rate, video.num_frames) == (25.0, False, 50)
    assert (video.start_s, video.duration_s) == (0.0, 2.0)
    assert (audio.codec, audio.channels, audio.layout, audio.sample_rate) == ("aac", 2, "stereo", 44_100)
    assert (audio.start_s, audio.duration_s) == (0.0, pytest.approx(2.0, abs=0.03))


def test_leaves_open_what_a_container_does_not_say(films, tmp_path):
    info = probe(films.make(tmp_path / "film.mkv", films.numbered(24)))
    assert info.audio is None
    assert info.video.num_frames is None
    assert info.video.is_variable_rate is None
    assert info.video.duration_s == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("ticks", "is_variable"), [([0, 4, 8, 12, 16], False), ([0, 4, 9, 30, 34], True)])
def test_tells_variable_from_constant_rate(films, tmp_path, ticks, is_variable):
    path = films.make(tmp_path / "film.mp4", films.numbered(5), rate=100, ticks=ticks, time_base=Fraction(1, 100))
    assert probe(path).video.is_variable_rate is is_variable


def test_metadata_of_the_file_is_kept(films, tmp_path):
    path = films.make(tmp_path / "film.mkv", films.numbered(3), title="Zoë")
    assert probe(path).metadata["title"] == "Zoë"


def _write_sound_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_files_that_cannot_be_read_are_named_with_the_reason(films, tmp_path):
    film = films.make(tmp_path / "film.mp4", films.numbered(24)).read_bytes()
    (tmp_path / "text.mp4").write_text("not a film " * 200)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(film[: len(film) // 2])
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfilm.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile film.mp4\n")
    _write_sound_only(tmp_path / "sound.wav")
    for name, message in (
        ("missing.mp4", r"must exist, got .*missing\.mp4, which does not exist"),
        ("", "must exist, got .*, which is a directory"),
        ("text.mp4", r"must be decodable, got .*text\.mp4: Invalid data found"),
        ("empty.mp4", r"must be decodable, got .*empty\.mp4: Invalid data found"),
        ("cut.mp4", r"must be decodable, got .*cut\.mp4: Invalid data found"),
        ("list.m3u8", r"must be decodable, got .*list\.m3u8"),
        ("list.mp4", r"must be decodable, got .*list\.mp4"),
        ("sound.wav", r"must have a video stream, got .*sound\.wav without one"),
    ):
        with pytest.raises(ReadError, match=message):
            probe(tmp_path / name)


def test_the_sound_of_a_film_and_of_a_sound_file_is_described(films, tmp_path):
    film = films.make_with_clicks(tmp_path / "film.mp4", seconds=2.0)
    assert probe_audio(film).duration_s == pytest.approx(2.0, abs=0.05)
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(4 * 4000))
    info = probe_audio(path)
    assert (info.channels, info.sample_rate) == (2, 8000)
    assert info.duration_s == pytest.approx(0.5)
    silent = films.make(tmp_path / "silent.mp4", films.numbered(5))
    with pytest.raises(ReadError, match="must have an audio stream"):
        probe_audio(silent)


@pytest.mark.parametrize("name", ["film.mkv", "film.webm", "film.flv", "film.ts"])
def test_the_length_of_a_video_is_its_own_also_where_only_the_files_is_stated(films, tmp_path, name):
    codec, audio_codec = ("libvpx-vp9", "libopus") if name.endswith("webm") else ("libx264", "aac")
    sound = films.clicks([0.5], 3.0, 48_000)
    options = {"codec": codec, "audio_codec": audio_codec, "sound": sound}
    # Written as a recorder or a stream does it: nothing is filled in at the end.
    live = {"live": "1"} if name.endswith(("mkv", "webm")) else {"flvflags": "no_duration_filesize"}
    for extra in ({}, {"options": live}):
        info = probe(films.make(tmp_path / name, films.numbered(24), **options, **extra))
        assert info.video.duration_s == pytest.approx(1.0, abs=0.003)
        assert info.audio.duration_s == pytest.approx(3.0, abs=0.06)
        assert len(read_clip(tmp_path / name).frames) == 24
