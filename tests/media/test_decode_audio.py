import numpy as np
import pytest

from mova.errors import ReadError
from mova.media.decode_audio import decode_audio_span
from mova.media.read import read_clip


@pytest.mark.parametrize(("sound_start_s", "clicks_s"), [(0.4, [0.9, 1.9]), (1.0, [1.5])])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_sound_that_starts_late_is_preceded_by_silence(films, tmp_path, name, sound_start_s, clicks_s):
    path = films.make_with_clicks(tmp_path / name, sound_start_s=sound_start_s)
    clip = read_clip(path, sample_rate=16_000)
    assert clip.waveform.shape == (1, 32_000)
    assert np.abs(clip.waveform[0, : int(sound_start_s * 16_000) - 400]).max() < 1e-3
    np.testing.assert_allclose(films.onsets_s(clip.waveform, 16_000), clicks_s, atol=2e-3)


def test_sound_before_the_first_picture_is_cut(films, tmp_path):
    ticks = [6 + index for index in range(36)]  # a quarter of a second late
    sound = films.clicks([0.1, 0.5, 1.5], 1.75, 48_000)
    path = films.make(tmp_path / "film.mkv", films.numbered(36), ticks=ticks, sound=sound, audio_codec="flac")
    clip = read_clip(path)
    assert len(clip.frames) == 36
    np.testing.assert_allclose(films.onsets_s(clip.waveform, 48_000), [0.25, 1.25], atol=2e-3)


def test_sound_that_ends_early_is_followed_by_silence(films, tmp_path):
    sound = np.full((1, 24_000), 0.5, np.float32)
    path = films.make(tmp_path / "film.mkv", films.numbered(48), sound=sound, audio_codec="flac")
    clip = read_clip(path)
    assert clip.waveform.shape == (1, 96_000)
    assert np.abs(clip.waveform[0, 100:23_900] - 0.5).max() < 0.01
    assert not clip.waveform[0, 24_100:].any()


@pytest.mark.parametrize(
    ("channel", "mono_level", "stereo_levels"),
    [
        (0, 0.2071, (0.4142, 0.0)),  # front left: 1 / (1 + 0.7071 + 0.7071)
        (2, 0.2929, (0.2929, 0.2929)),  # front centre
        (3, 0.0, (0.0, 0.0)),  # low-frequency effects
        (5, 0.1464, (0.0, 0.2929)),  # back right
    ],
)
def test_surround_sound_is_mixed_down(films, tmp_path, channel, mono_level, stereo_levels):
    sound = np.zeros((6, 48_000), np.float32)
    sound[channel] = 0.8
    path = films.make(tmp_path / "film.mov", films.numbered(24), sound=sound, layout="5.1", audio_codec="pcm_f32le")
    mono, stereo = read_clip(path), read_clip(path, mono=False)
    assert mono.waveform[0, 20_000] == pytest.approx(0.8 * mono_level, abs=1e-3)
    assert stereo.waveform[:, 20_000] == pytest.approx([0.8 * level for level in stereo_levels], abs=1e-3)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_f64le", "flac", "alac"])
def test_every_sample_format_has_the_same_level(films, tmp_path, codec):
    sound = np.full((2, 24_000), 0.5, np.float32)
    sound[1] = -0.25
    path = films.make(tmp_path / "film.mkv", films.numbered(12), sound=sound, layout="stereo", audio_codec=codec)
    span = decode_audio_span(path, origin_s=0.0, start_s=0.0, duration_s=0.5)
    assert span.speakers == ("FL", "FR")
    inner = span.waveform[:, round(span.lead_s * span.sample_rate) :][:, 100:23_900]
    np.testing.assert_allclose(inner.mean(axis=1), [0.5, -0.25], atol=0.01)


def test_surround_sound_of_unknown_places_is_taken_in_the_usual_order(films, tmp_path):
    sound = np.zeros((6, 48_000), np.float32)
    sound[3] = 0.8  # low-frequency effects
    path = films.make(tmp_path / "film.mkv", films.numbered(24), sound=sound, layout="5.1", audio_codec="pcm_s16le")
    assert not read_clip(path).waveform.any()


def test_a_pause_between_time_stamps_is_silence(films, tmp_path):
    path = films.make_with_clicks(tmp_path / "film.mkv", seconds=3.0, audio_codec="pcm_s16le", pause=(1.0, 0.4))
    assert films.onsets_s(read_clip(path).waveform, 48_000) == pytest.approx([0.5, 1.9], abs=2e-3)


def test_wandering_time_stamps_do_not_tear_the_sound(films, tmp_path):
    tone = 0.5 * np.sin(np.arange(44_100) * 2 * np.pi * 441 / 44_100)[None].astype(np.float32)
    path = films.make(
        tmp_path / "film.mkv",
        films.numbered(24),
        sound=tone,
        sample_rate=44_100,
        audio_codec="pcm_s16le",
        pause=(0.5, 0.004),
    )
    np.testing.assert_allclose(read_clip(path).waveform[0, :44_000], tone[0, :44_000], atol=1e-3)


def test_places_that_cannot_be_mixed_are_refused(films, tmp_path):
    sound = np.zeros((8, 24_000), np.float32)
    path = films.make(tmp_path / "film.mov", films.numbered(12), sound=sound, layout="5.1.2", audio_codec="pcm_s16le")
    with pytest.raises(ReadError, match=r"must be possible to mix down, got .*film\.mov: .* got .*TFL"):
        read_clip(path)
