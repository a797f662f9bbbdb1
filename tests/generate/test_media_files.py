from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from mova.errors import ReadError
from mova.generate.given import parse_retake
from mova.generate.media_files import read_inputs, read_sound
from mova.generate.request import GenerateRequest
from mova.geometry import ClipGeometry, CodecGeometry, num_samples
from mova.media.write import write_clip
from mova.settings.sampling import SamplingSettings
from mova.types import Clip

SMALL = CodecGeometry(sample_rate=16_000, hop_length=320, audio_channels=4)
SETTINGS = SamplingSettings(height=32, width=48, num_frames=9, codec=SMALL)


def make_film(path, num_frames=12, size=(64, 96)):
    frames = np.zeros((num_frames, *size, 3), np.uint8)
    frames[:] = np.arange(num_frames, dtype=np.uint8)[:, None, None, None] * 20
    sound = np.zeros((1, num_samples(num_frames, 24.0, 16_000)), np.float32)
    sound[0, 1600:1700] = 0.8
    write_clip(path, Clip(frames, sound, 24.0, 16_000))
    return path


def make_wav(path, num_seconds):
    import wave

    samples = np.zeros(int(num_seconds * 44_100), np.int16)
    samples[4410:4500] = 20_000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 44_100, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def request(**files):
    return GenerateRequest(prompt="a dog", settings=SETTINGS, **files)


def test_pictures_are_read_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    inputs = read_inputs(request(image=tmp_path / "a.png", last_image=tmp_path / "a.png"))
    assert set(inputs) == {"image", "last_image"}
    assert np.array_equal(inputs["image"], pixels)


def test_film_is_read_at_the_clips_size_and_length(tmp_path):
    frames = read_inputs(request(video=make_film(tmp_path / "a.mp4")))["video"]
    assert frames.shape == (9, 32, 48, 3)
    assert abs(frames.mean((1, 2, 3)) - np.arange(9) * 20).max() < 4


@pytest.mark.parametrize("kind", ["film", "sound"])
def test_sound_is_read_from_films_and_sound_files(tmp_path, kind):
    path = make_film(tmp_path / "a.mp4") if kind == "film" else make_wav(tmp_path / "a.wav", 1.0)
    sound = read_inputs(request(audio=path))["audio"]
    assert sound.shape == (1, SETTINGS.geometry.num_samples) == (1, 6000)
    assert abs(np.flatnonzero(abs(sound[0]) > 0.2)[0] - 1600) < 32, "the click is at 0.1 s"


def test_what_is_too_short_or_damaged_is_an_error(tmp_path):
    short = make_film(tmp_path / "short.mp4", num_frames=5)
    with pytest.raises(ReadError, match=r"short\.mp4"):
        read_inputs(request(video=short))
    with pytest.raises(ReadError, match=r"must last as long as the clip \(9 frames, 0.375 s\), got .*of 0\.2"):
        read_inputs(request(audio=make_wav(tmp_path / "short.wav", 0.2)))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    for name in ("image", "video", "audio"):
        with pytest.raises(ReadError, match=r"broken\.png"):
            read_inputs(request(**{name: broken}))


def test_film_without_sound_has_no_sound_to_give(tmp_path):
    silent = Clip(np.zeros((9, 32, 48, 3), np.uint8), None, 24.0, 16_000)
    write_clip(tmp_path / "silent.mp4", silent, allow_silent=True)
    with pytest.raises(ReadError, match=r"must have an audio stream, got .*silent"):
        read_sound(tmp_path / "silent.mp4", ClipGeometry(32, 48, 9, float(Fraction(24)), SMALL))


def test_the_part_of_a_longer_file_is_chosen_and_told(tmp_path):
    film = make_film(tmp_path / "a.mp4", num_frames=48)
    parts = []
    frames = read_inputs(request(video=film), start_s=0.25, on_part=parts.append)["video"]
    assert abs(frames.mean((1, 2, 3)) - (6 + np.arange(9)) * 20 % 256).max() < 4
    assert str(parts[0]) == "video: 0.25 s to 0.62 s of a.mp4, which lasts 2.00 s"
    sound = make_wav(tmp_path / "a.wav", 1.0)
    audio = read_inputs(request(audio=sound), start_s=0.05, on_part=parts.append)["audio"]
    assert abs(np.flatnonzero(abs(audio[0]) > 0.2)[0] - 800) < 32, "the click is at 0.1 s of the file"
    assert (parts[1].name, parts[1].begin_s, parts[1].file_s) == ("audio", 0.05, 1.0)
    read_inputs(request(video=make_film(tmp_path / "b.mp4", num_frames=9)), on_part=parts.append)
    assert len(parts) == 2, "nothing is left out of a file of the clip's length"
    with pytest.raises(ReadError, match=r"from 0\.9 s on, got .*a\.wav of 1\.000 s"):
        read_inputs(request(audio=sound), start_s=0.9)


def test_media_of_another_shape_or_length_are_fitted_by_name(tmp_path):
    short, wide = make_film(tmp_path / "short.mp4", num_frames=4), make_film(tmp_path / "wide.mp4", size=(32, 128))
    held = read_inputs(request(video=short, fit="pad"))["video"]
    assert len(held) == 9
    assert np.array_equal(held[8], held[3])
    framed = read_inputs(request(video=wide, fit="pad"))["video"]
    assert framed.shape == (9, 32, 48, 3)
    assert framed[8, :8].max() < 20 < framed[8, 16].min()
    stretched = read_inputs(request(video=wide, fit="stretch"))["video"]
    assert stretched[8].min() > 100
    silence = read_inputs(request(audio=make_wav(tmp_path / "short.wav", 0.2), fit="pad"))["audio"]
    assert silence.shape == (1, 6000)
    assert np.abs(silence[0, 3300:]).max() == 0


def test_of_a_clip_that_is_made_anew_in_spans_nothing_behind_the_last_part_that_stays_is_read(tmp_path):
    short = make_film(tmp_path / "short.mp4", num_frames=5)
    inputs = read_inputs(request(video=short, audio=short, retakes=(parse_retake("0.21-0.375"),)))
    assert len(inputs["video"]) == 5
    with pytest.raises(ReadError, match="too short"):
        read_inputs(request(video=short, audio=short, retakes=(parse_retake("0.05-0.2"),)))
