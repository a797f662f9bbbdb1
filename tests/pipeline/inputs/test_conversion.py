"""What callers have becomes tensors of the size and the length of a clip, or an error that says why not."""

import numpy as np
import pytest
import torch
from PIL import Image

from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.pipeline.inputs.conversion import image_tensor, video_tensor, waveform_tensor

GEOMETRY = ClipGeometry(32, 48, 5, 24.0, CodecGeometry(sample_rate=16_000, hop_length=320, audio_channels=4))


def picture(height=32, width=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pictures_of_the_right_size_keep_every_pixel():
    pixels = picture()
    expected = torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1
    for image in (pixels, Image.fromarray(pixels), expected, expected[None]):
        torch.testing.assert_close(image_tensor(image, GEOMETRY), expected[None])
    assert image_tensor([pixels, Image.fromarray(pixels)], GEOMETRY).shape == (2, 3, 32, 48)


def test_other_pictures_are_scaled_and_cut_never_squeezed():
    wide = np.zeros((64, 256, 3), dtype=np.uint8)
    wide[:, :80] = 255
    wide[:, -80:] = 255
    fitted = image_tensor(wide, GEOMETRY)
    assert fitted.shape == (1, 3, 32, 48)
    assert (fitted < -0.9).float().mean() > 0.9, "the white edges lie outside the kept middle"
    grey = Image.fromarray(np.full((10, 10), 255, np.uint8))
    assert image_tensor(grey, GEOMETRY).min() == 1


def test_films_and_sounds_are_cut_to_the_clip():
    film = np.stack([picture(64, 96, seed) for seed in range(7)])
    assert video_tensor(film, GEOMETRY).shape == (1, 3, 5, 32, 48)
    tensor = torch.zeros(2, 3, 6, 32, 48)
    assert video_tensor(tensor, GEOMETRY).shape == (2, 3, 5, 32, 48)
    sound = np.linspace(-1, 1, 4000, dtype=np.float32)
    for audio in (sound, sound[None], sound[None, None], torch.from_numpy(sound)):
        cut = waveform_tensor(audio, GEOMETRY)
        assert cut.shape == (1, 1, GEOMETRY.num_samples)
        assert np.array_equal(cut[0, 0].numpy(), sound[:3333])


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (image_tensor, picture().astype(np.float32), r"must lie in \[0, 1\] and hold finite numbers, got 0 to 255"),
        (image_tensor, "photo.png", "got str"),
        (image_tensor, torch.zeros(3, 32, 32), r"image must be \(\.\.\., 3, 32, 48\) where it is a floating"),
        (video_tensor, np.zeros((4, 32, 48, 3), np.uint8), "video must be"),
        (video_tensor, np.zeros((5, 32, 48, 3), int), r"video must be uint8, uint16 or .* got \(5, 32, 48, 3\) int64"),
        (video_tensor, torch.zeros(1, 3, 5, 32, 32), "video must be"),
        (waveform_tensor, np.zeros((2, 4000)), r"audio must be \(S,\), \(1, S\) or \(B, 1, S\), got \(2, 4000\)"),
        (waveform_tensor, np.zeros(3000), "audio must last 3333 samples at 16000 Hz, got 3000"),
    ],
)
def test_other_forms_are_errors(function, value, text):
    with pytest.raises(GeometryError, match=text):
        function(value, GEOMETRY)
    with pytest.raises(ConfigError, match="empty list"):
        image_tensor([], GEOMETRY)


def test_what_is_too_short_is_refused_or_padded_by_name():
    film = np.stack([picture(seed=seed) for seed in range(3)])
    with pytest.raises(GeometryError, match=r"video must be 5 frames or longer, got .*fit='pad' holds its last frame"):
        video_tensor(film, GEOMETRY)
    padded = video_tensor(film, GEOMETRY, "pad")
    assert padded.shape == (1, 3, 5, 32, 48)
    assert torch.equal(padded[:, :, 3], padded[:, :, 2])
    # What need not be there is not read: a part that stays at the beginning is enough.
    assert torch.equal(video_tensor(list(film), GEOMETRY, needed=3), padded)
    sound = np.full(3000, 0.5)
    assert waveform_tensor(sound, GEOMETRY, "pad")[0, 0, 2999:3002].tolist() == [0.5, 0.0, 0.0]
    assert torch.equal(waveform_tensor(sound, GEOMETRY, needed=3000), waveform_tensor(sound, GEOMETRY, "pad"))
    with pytest.raises(GeometryError, match="audio must last 3001 samples at 16000 Hz, got 3000"):
        waveform_tensor(sound, GEOMETRY, needed=3001)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_images_of_another_shape_are_cut_framed_or_stretched(fit):
    wide = np.full((64, 256, 3), 255, dtype=np.uint8)
    wide[:, 64:192] = 128
    found = image_tensor(wide, GEOMETRY, fit)[0, 0]
    if fit == "crop":
        assert found.max() < 0.01  # the white ends are cut off
    elif fit == "pad":
        assert (found[:10] == -1).all()
        assert found[16, 0] > 0.9
    else:
        assert (found[:, :8] > 0.9).all()
        assert found[0, 24] == pytest.approx(0.0039, abs=0.01)
