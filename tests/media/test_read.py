from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mova.errors import ConfigError, GeometryError, ReadError
from mova.geometry import num_samples
from mova.media import media_file
from mova.media.read import read_audio, read_clip, read_span

NTSC = Fraction(24_000, 1001)


class Fortunate:
    """A container in memory where PyAV does not fail over a stream that appears later."""

    def __init__(self, container):
        self.container, self.streams = container, container.streams

    def demux(self, *streams):
        with suppress(IndexError):
            yield from self.container.demux(*streams)


@pytest.mark.parametrize("target", [24.0, 23.976, 30.0, 12.0])
@pytest.mark.parametrize("rate", [NTSC, Fraction(25), Fraction(30), Fraction(60)])
def test_picture_and_sound_last_equally_and_stay_in_place_at_any_rate(films, tmp_path, rate, target):
    path = films.make_with_clicks(tmp_path / "film.mp4", rate=rate)
    clip = read_clip(path, frame_rate=target, sample_rate=16_000)
    assert clip.frame_rate == pytest.approx(target)
    assert len(clip.frames) == round(round(2 * rate) / rate * Fraction(target))
    assert clip.waveform.shape == (1, num_samples(len(clip.frames), target, 16_000))
    for index, frame in enumerate(clip.frames):
        shown, due_s = films.read_stamp(frame), index / target
        assert shown / rate <= due_s + 0.0015
        assert (shown + 1) / rate > due_s or shown == round(2 * rate) - 1
    np.testing.assert_allclose(films.onsets_s(clip.waveform, 16_000), [0.5, 1.5], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "audio_codec", "layout"),
    [
        ("film.mp4", "libx264", "aac", "mono"),
        ("film.mov", "libx264", "pcm_s16le", "mono"),
        ("film.mkv", "libx264", "flac", "mono"),
        ("film.webm", "libvpx-vp9", "libopus", "mono"),
        ("film.avi", "mpeg4", "pcm_s16le", "mono"),
        ("film.ts", "libx264", "aac", "mono"),
        ("film.flv", "libx264", "aac", "mono"),
    ],
)
def test_containers_and_codecs(films, tmp_path, name, codec, audio_codec, layout):
    path = films.make_with_clicks(tmp_path / name, codec=codec, audio_codec=audio_codec, layout=layout)
    clip = read_clip(path)
    assert clip.frame_rate == pytest.approx(24.0, abs=0.01)
    assert [films.read_stamp(frame) for frame in clip.frames] == list(range(48))
    np.testing.assert_allclose(films.onsets_s(clip.waveform, clip.sample_rate), [0.5, 1.5], atol=2e-3)


@pytest.fixture(scope="module")
def long_films(films, tmp_path_factory):
    """Twelve seconds, a click every second, key frames every two, in three containers."""
    folder = tmp_path_factory.mktemp("long")
    sound = films.clicks([float(second) for second in range(1, 12)], 12.0, 44_100)
    arguments = {"rate": 25, "gop": 50, "sound": sound, "sample_rate": 44_100}
    return [films.make(folder / name, films.numbered(300), **arguments) for name in ("film.mp4", "film.mkv", "film.ts")]


@pytest.mark.parametrize("container", [0, 1, 2])
@settings(max_examples=6, deadline=None)
@given(first=st.integers(0, 280), length=st.integers(1, 20))
@example(first=50, length=5)
@example(first=299, length=1)
def test_a_span_is_the_same_as_that_part_of_the_whole(films, long_films, container, first, length):
    clip = read_clip(long_films[container], start_s=first / 25, num_frames=length)
    assert [films.read_stamp(frame) for frame in clip.frames] == list(range(first, first + length))
    assert clip.waveform.shape == (1, num_samples(length, 25, 44_100))
    seconds = [second for second in range(1, 12) if first < second * 25 < first + length - 0.1]
    np.testing.assert_allclose(
        [onset for onset in films.onsets_s(clip.waveform, 44_100) if 0.003 < onset < length / 25 - 0.003],
        [second - first / 25 for second in seconds],
        atol=2e-3,
    )


def test_a_film_without_sound(films, tmp_path):
    path = films.make(tmp_path / "film.mp4", films.numbered(5))
    assert read_clip(path).waveform is None
    with pytest.raises(ReadError, match=r"must have audio here, got .*film\.mp4 without an audio stream"):
        read_clip(path, require_audio=True)


def test_a_short_film_is_an_error_or_padded(films, tmp_path):
    path = films.make_with_clicks(tmp_path / "film.mp4")
    message = r"film\.mp4 of 2\.000 s, too short for 49 frames at 24 per second from 0 s; nearest is 48 frames"
    with pytest.raises(ReadError, match=message):
        read_clip(path, num_frames=49)
    with pytest.raises(ReadError, match="from 1 s; nearest is 24 frames"):
        read_clip(path, num_frames=30, start_s=1.0)
    padded = read_clip(path, num_frames=60, pad=True)
    assert [films.read_stamp(frame) for frame in padded.frames] == [min(index, 47) for index in range(60)]
    assert padded.waveform.shape == (1, 120_000)
    assert not padded.waveform[0, 97_000:].any()
    with pytest.raises(ReadError, match=r"start_s must lie inside the video, got 2\.5 s for .* of 2\.000 s"):
        read_clip(path, start_s=2.5, pad=True)


def test_a_film_that_breaks_off_is_refused(films, tmp_path):
    options = {"movflags": "+faststart"}
    pictures = [np.random.default_rng(i).integers(0, 256, (32, 80, 3), np.uint8) for i in range(48)]
    sound = films.clicks([0.5], 2.0, 48_000)
    whole = films.make(tmp_path / "whole.mp4", pictures, sound=sound, options=options).read_bytes()
    for share in (0.05, 0.5):
        (tmp_path / "part.mp4").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ReadError, match=r"part\.mp4"):
            read_clip(tmp_path / "part.mp4")
    mkv = films.make(tmp_path / "whole.mkv", pictures, sound=sound).read_bytes()
    (tmp_path / "part.mkv").write_bytes(mkv[: len(mkv) // 2])
    with pytest.raises(ReadError, match=r"as it declares, got .*part\.mkv of 2\.\d+ s that breaks off at [01]\."):
        read_clip(tmp_path / "part.mkv")


def test_a_stream_that_appears_later_is_refused(films, tmp_path):
    path = films.make(tmp_path / "silent.flv", films.numbered(100), rate=1)  # FFmpeg looks 90 s far for streams
    sounding = films.make_with_clicks(tmp_path / "sounding.flv").read_bytes()
    path.write_bytes(path.read_bytes() + sounding[13:])  # without its header
    message = r"streams must be there from the start, got .*silent\.flv with one of audio"
    with pytest.raises(ReadError, match=message):
        read_clip(path)
    # PyAV reads behind the end of a list then, and goes on or fails by what lies there in memory.
    with av.open(str(path)) as container, pytest.raises(ReadError, match=message):
        list(media_file.demux(Fortunate(container), container.streams.video, path))


def test_arguments_outside_their_range_are_refused(films, tmp_path):
    path = films.make(tmp_path / "film.mp4", films.numbered(3))
    for arguments, message in (
        ({"frame_rate": 0.0}, "frame_rate must be a positive .* got 0.0"),
        ({"frame_rate": float("inf")}, "frame_rate must be a positive .* got inf"),
        ({"num_frames": 0}, "num_frames must be at least 1, got 0; nearest is 1"),
        ({"sample_rate": 0}, "sample_rate must be a positive .* got 0"),
        ({"start_s": -1.0}, r"start_s must be 0 or more seconds, got -1\.0; nearest is 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_clip(path, **arguments)
    with pytest.raises(GeometryError, match="at least 1x1, got height 0 and width 8"):
        read_clip(path, size=(0, 8))
    with pytest.raises(GeometryError, match=r"crop must lie in \[0, 1\]"):
        read_clip(path, size=(8, 8), crop=(0.5, 2.0))


def test_sound_alone_is_read_from_any_start_with_its_own_length(films, tmp_path):
    film = films.make_with_clicks(tmp_path / "film.mp4")
    audio = read_audio(film, sample_rate=16_000, length=16_000, start_s=0.25)
    assert audio.waveform.shape == (1, 16_000)
    assert audio.own_samples == ((0, 16_000),)
    np.testing.assert_allclose(films.onsets_s(audio.waveform, 16_000), [0.25], atol=2e-3)
    audio = read_audio(film, sample_rate=16_000, length=32_000, start_s=1.0)
    assert audio.own_samples[-1][1] / 16_000 == pytest.approx(1.0, abs=0.05)
    assert not audio.waveform[:, 17_600:].any()


def test_what_is_the_files_own_is_told_apart_from_what_is_filled_in(films, tmp_path):
    sound = films.clicks([0.1], 0.6, 16_000)
    options = {"sound": sound, "sample_rate": 16_000, "audio_codec": "pcm_s16le"}
    path = films.make(tmp_path / "film.mkv", films.numbered(48), sound_start_s=0.5, pause=(0.2, 0.3), **options)
    span = read_span(path, num_frames=72, pad=True)
    assert span.own_frames == 48
    assert span.own_samples == ((8_000, 11_200), (16_000, 22_400))
    assert read_span(path, start_s=1.5, num_frames=12).own_samples == ()
    later = read_audio(path, sample_rate=16_000, length=16_000, start_s=0.75)
    assert later.own_samples == ((4_000, 10_400),)
    assert later.end_s == pytest.approx(1.4)


@pytest.mark.parametrize("name", ["sound.mp3", "sound.ts", "sound.mka", "sound.mp4", "sound.ogg", "sound.flac"])
@pytest.mark.parametrize("clock_s", [0, 10])
def test_audio_alone_counts_from_its_first_sample_wherever_its_clock_stands(films, tmp_path, name, clock_s):
    codec = {"mp3": "libmp3lame", "ogg": "libopus", "flac": "flac"}.get(name.split(".")[1], "aac")
    path = films.make_sound(tmp_path / name, films.clicks([0.5, 1.5], 2.0, 48_000), codec=codec, start_s=clock_s)
    audio = read_audio(path, sample_rate=16_000, length=30_000)
    np.testing.assert_allclose(films.onsets_s(audio.waveform, 16_000), [0.5, 1.5], atol=0.03)
    audio = read_audio(path, sample_rate=16_000, length=16_000, start_s=1.2)
    np.testing.assert_allclose(films.onsets_s(audio.waveform, 16_000), [0.3], atol=0.03)
