import numpy as np
import pytest
import torch
from PIL import Image

from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.pipeline.inputs.conversion import image_tensor, video_tensor, waveform_tensor
from mova.pipeline.inputs.media import GivenMedia
from mova.pipeline.output import format_audio, format_frames

GEOMETRY = ClipGeometry(32, 48, 5, 24.0, CodecGeometry(sample_rate=16_000, hop_length=320, audio_channels=4))
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)
EXPECTED = torch.from_numpy(PIXELS).permute(3, 0, 1, 2).float() / 127.5 - 1  # (3, F, H, W)
SAMPLES = np.random.default_rng(1).integers(-30_000, 30_000, GEOMETRY.num_samples).astype(np.int16)


def images():
    first, tensor = PIXELS[0], torch.from_numpy(PIXELS[0]).permute(2, 0, 1)
    yield from (first, first.astype(np.uint16) * 257, first / 255, (first / 255).astype(np.float32), tensor)
    yield from (tensor[None], tensor / 255, tensor / 127.5 - 1, (tensor / 127.5 - 1).double(), Image.fromarray(first))
    yield from (np.dstack([first, np.full((32, 48), 255, np.uint8)]), first[None], [first])


@pytest.mark.parametrize("image", list(images()), ids=lambda image: getattr(image, "dtype", type(image).__name__))
def test_images_of_every_type_are_the_same(image):
    torch.testing.assert_close(image_tensor(image, GEOMETRY), EXPECTED[None, :, 0], atol=1e-5, rtol=0)


def videos():
    tensor = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)  # (F, 3, H, W)
    pil = [Image.fromarray(frame) for frame in PIXELS]
    yield from (PIXELS, PIXELS / 255, PIXELS.astype(np.uint16) * 257, pil, tuple(pil), list(PIXELS), [pil], [PIXELS])
    yield from (tensor, tensor[None], tensor.movedim(1, 0), tensor.movedim(1, 0)[None], torch.from_numpy(PIXELS))
    yield from (tensor / 255, tensor / 127.5 - 1, list(tensor), list(tensor / 255), [tensor / 127.5 - 1])
    yield PIXELS[None]


@pytest.mark.parametrize("video", list(videos()), ids=lambda video: getattr(video, "dtype", type(video).__name__))
def test_videos_of_every_type_and_layout_are_the_same(video):
    torch.testing.assert_close(video_tensor(video, GEOMETRY), EXPECTED[None], atol=1e-5, rtol=0)


@pytest.mark.parametrize("output_type", ["pil", "np", "pt"])
def test_what_the_pipeline_returns_goes_back_in_as_it_is(output_type):
    frames = format_frames(EXPECTED[None].repeat(2, 1, 1, 1, 1), output_type)
    torch.testing.assert_close(video_tensor(frames[0], GEOMETRY), EXPECTED[None], atol=1e-5, rtol=0)
    assert video_tensor(frames, GEOMETRY).shape == (2, 3, 5, 32, 48)
    torch.testing.assert_close(image_tensor(frames[0][-1], GEOMETRY), EXPECTED[None, :, -1], atol=1e-5, rtol=0)
    audio = format_audio(torch.from_numpy(SAMPLES / 32_768).float()[None, None].repeat(2, 1, 1), output_type)
    assert waveform_tensor(audio[0], GEOMETRY).shape == (1, 1, GEOMETRY.num_samples)
    assert waveform_tensor(audio, GEOMETRY).shape == (2, 1, GEOMETRY.num_samples)


def test_integer_images_of_another_size_are_scaled_and_short_videos_refused_first():
    small = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)[:, :, :16, :24]
    assert video_tensor(small, GEOMETRY).shape == (1, 3, 5, 32, 48)
    assert image_tensor(small[0], GEOMETRY).shape == (1, 3, 32, 48)
    for short in ([Image.new("RGB", (8, 8))] * 4, small[:4], PIXELS[:4]):
        with pytest.raises(GeometryError, match="must be 5 frames or longer, got"):
            video_tensor(short, GEOMETRY)


@pytest.mark.parametrize(
    "audio",
    [
        SAMPLES,
        torch.from_numpy(SAMPLES)[None],
        SAMPLES.astype(np.int32) << 16,
        SAMPLES.astype(np.float32) / 32_768,
        SAMPLES.astype(np.float64)[None, None] / 32_768,
    ],
)
def test_audio_of_every_type_is_the_same(audio):
    expected = torch.from_numpy(SAMPLES / 32_768).float()[None, None]
    torch.testing.assert_close(waveform_tensor(audio, GEOMETRY), expected, atol=1e-6, rtol=0)
    eight_bits = waveform_tensor((SAMPLES // 256 + 128).astype(np.uint8), GEOMETRY)
    torch.testing.assert_close(eight_bits, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("function", "shape"),
    [(image_tensor, (3, 32, 48)), (video_tensor, (5, 3, 32, 48)), (waveform_tensor, (GEOMETRY.num_samples,))],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3.0, -1.5])
def test_floats_outside_their_range_are_refused(function, shape, value):
    values = torch.zeros(shape)
    values.view(-1)[7] = value
    with pytest.raises(GeometryError, match=r"must lie in \[-1, 1\] and hold finite numbers"):
        function(values, GEOMETRY)
    if function is not waveform_tensor:
        array = np.moveaxis(values.numpy(), -3, -1)
        with pytest.raises(GeometryError, match=r"must lie in \[0, 1\] and hold finite numbers"):
            function(array, GEOMETRY)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint32", "complex64", "object"])
def test_other_types_are_refused_by_name(dtype):
    with pytest.raises(GeometryError, match=f"image must be .* {dtype}"):
        image_tensor(PIXELS[0].astype(dtype), GEOMETRY)
    with pytest.raises(GeometryError, match="audio must be"):
        waveform_tensor(np.zeros(GEOMETRY.num_samples, dtype), GEOMETRY)
    for video in ("clip.mp4", [1, 2], 7, [[]], {"a": 1}):
        with pytest.raises(GeometryError, match="video must"):
            video_tensor(video, GEOMETRY)


def test_a_call_converts_once_and_refuses_before_anything_is_computed():
    given = GivenMedia(video=PIXELS)
    given.check(GEOMETRY)
    assert given.known_video(GEOMETRY) is given.known_video(GEOMETRY)
    with pytest.raises(GeometryError, match="float audio"):
        GivenMedia(audio=np.full(GEOMETRY.num_samples, 3.0)).check(GEOMETRY)
    with pytest.raises(ConfigError, match="both given"):
        GivenMedia(video=PIXELS, audio=SAMPLES).check(GEOMETRY)
