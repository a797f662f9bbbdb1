"""Small images of a clip."""

import io

import numpy as np
from PIL import Image

from mova.serve.worker.images import preview, spritesheet, thumbnail, waveform


def opened(content):
    return Image.open(io.BytesIO(content))


def test_a_thumbnail_shows_the_middle_in_its_shape():
    frames = np.zeros((5, 480, 640, 3), np.uint8)
    frames[2] = 200
    image = opened(thumbnail(frames))
    assert (image.format, image.size) == ("JPEG", (320, 240))
    assert np.asarray(image).mean() > 190


def test_a_sheet_shows_frames_from_the_first_to_the_last_in_rows():
    frames = np.repeat(np.arange(100, 200, dtype=np.uint8), 320 * 180 * 3).reshape(100, 180, 320, 3)
    image = opened(spritesheet(frames))
    assert (image.format, image.size) == ("JPEG", (5 * 160, 5 * 90))
    pixels = np.asarray(image).astype(int)
    assert abs(pixels[10, 10] - 100).max() < 3
    assert abs(pixels[-10, -10] - 199).max() < 3
    assert abs(pixels[10, 170] - 104).max() < 3
    assert opened(spritesheet(frames[:3])).size == (2 * 160, 2 * 90)
    assert opened(spritesheet(frames[:1, :64, :64])).size == (64, 64)


def test_a_waveform_is_as_high_as_the_audio_is_loud():
    samples = np.zeros((2, 64_000), np.float32)
    samples[0, 32_000:] = np.sin(np.arange(32_000) / 3)
    drawn = np.asarray(opened(waveform(samples)))[..., 3] > 0
    assert drawn.shape == (96, 640)
    assert drawn[:, :300].sum(0).max() <= 2
    assert drawn[:, 340:].sum(0).min() > 90
    assert opened(waveform(np.zeros((1, 0), np.float32))).size == (640, 96)
    assert opened(waveform(np.full((1, 3), 9.0, np.float32))).size == (640, 96)


def test_a_preview_moves():
    frames = np.zeros((4, 16, 24, 3), np.uint8)
    frames[1:] = 255
    image = opened(preview(frames, 8.0))
    assert (image.format, image.size, image.n_frames) == ("WEBP", (192, 128), 2)
    assert opened(preview(frames[:1], 8.0)).n_frames == 1
