"""Sizes of clips, latents and tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.errors import GeometryError
from mova.geometry import ClipGeometry, CodecGeometry, nearest_multiples, num_samples

TINY = CodecGeometry(sample_rate=16_000, hop_length=320, audio_channels=32)


def test_the_published_clip_has_the_published_sizes():
    clip = ClipGeometry(height=352, width=640, num_frames=193)
    assert clip.video_latent_shape == (16, 49, 44, 80)
    assert clip.token_grid == (49, 22, 40)
    assert clip.num_video_tokens == 43_120
    assert clip.num_samples == 386_000
    assert clip.audio_latent_shape == (128, 403)
    assert clip.duration_s == pytest.approx(8.0417, abs=1e-4)
    assert ClipGeometry(height=720, width=1280, num_frames=193).num_video_tokens == 176_400


def test_the_tiny_clip_has_its_own():
    clip = ClipGeometry(height=128, width=128, num_frames=49, codec=TINY)
    assert clip.video_latent_shape == (16, 13, 16, 16)
    assert clip.num_video_tokens == 832
    assert clip.audio_latent_shape == (32, 103)
    assert (TINY.audio_latent_rate, TINY.video_latent_rate(24.0)) == (50.0, 6.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((360, 640, 193), "height must be a positive multiple of 16, got 360; nearest are 352 and 368"),
        ((352, 8, 193), "width must be a positive multiple of 16, got 8; nearest is 16"),
        ((-16, 640, 193), "height must be a positive multiple of 16, got -16; nearest is 16"),
        ((352, 640, 192), "frames must be 1 plus a multiple of 4, got 192; nearest are 189 and 193"),
        ((352, 640, 0), "frames must be 1 plus a multiple of 4, got 0; nearest is 1"),
        ((352, 640, 100_000_000_001), "frames must be at most 100001, got 100000000001; nearest is 100001"),
        ((10**8, 640, 193), "height must be at most 16384 pixels, got 100000000; nearest is 16384"),
        ((352, 10**30, 193), f"width must be at most 16384 pixels, got {10**30}; nearest is 16384"),
        ((352, 640, 193, 1e-300), "frame rate must be 0.1 to 1000 frames per second, got 1e-300; nearest is 0.1"),
        ((352, 640, 193, 1e9), "frame rate must be 0.1 to 1000 frames per second, got 1e+09; nearest is 1000"),
        ((352, 640, 193, 0.0), "frame rate must be a positive number of frames per second, got 0.0"),
        ((352, 640, 193, float("inf")), "frame rate must be a positive number of frames per second, got inf"),
    ],
)
def test_a_size_that_cannot_be_is_refused_with_the_nearest_one(arguments, text):
    with pytest.raises(GeometryError) as caught:
        ClipGeometry(*arguments)
    assert str(caught.value) == text


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    latent_frames=st.integers(1, 60),
    rate=st.sampled_from([12.0, 23.976, 24000 / 1001, 24.0, 25.0, 29.97, 30.0, 60.0]),
)
def test_picture_and_sound_last_equally_long(height, width, latent_frames, rate):
    clip = ClipGeometry(16 * height, 16 * width, 4 * (latent_frames - 1) + 1, rate)
    assert -1e-9 <= clip.duration_s - clip.num_samples / 48_000 < 1 / 48_000 + 1e-9
    covered = clip.num_audio_latents * clip.codec.hop_length
    assert covered - clip.codec.hop_length < clip.num_samples <= covered
    assert clip.num_latent_frames == latent_frames


@given(value=st.integers(-1000, 10_000), step=st.integers(1, 64))
def test_the_nearest_multiples_enclose_the_value(value, step):
    below, above = nearest_multiples(value, step)
    assert below % step == above % step == 0
    assert step <= below <= above <= max(value + step, step)
    assert above - below in (0, step)


def test_samples_are_exact_where_floating_point_is_not():
    # 0.1 s at 48 kHz is exactly 4800 samples; 3 / 30.0 * 48000 is 4800.000000000001 or less in other orders.
    assert num_samples(3, 30.0, 48_000) == 4800
    assert num_samples(1001, 24000 / 1001, 48_000) == 2_004_002
