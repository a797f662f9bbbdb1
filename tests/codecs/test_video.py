import numpy as np
import pytest
import torch

from mova.codecs import video
from mova.codecs.video import (
    decode_unclamped,
    decode_video,
    denormalise_latents,
    encode_posterior,
    encode_video,
    frames_to_tensor,
    normalise_latents,
    tensor_to_frames,
)
from mova.errors import GeometryError

# Chunks of frames and cached convolutions add the same numbers in another order.
TOLERANCE = {"atol": 1e-5, "rtol": 1e-4}


@pytest.fixture(params=["published", "patched"])
def vae(request, published_vae):
    return published_vae if request.param == "published" else request.getfixturevalue("patched_vae")


def random_frames(batch_size=1, num_frames=9, size=32, seed=0):
    return torch.rand(batch_size, 3, num_frames, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("num_frames", [1, 5, 13])
def test_latents_have_the_shape_of_the_geometry_and_equal_the_library(vae, num_frames):
    frames = random_frames(2, num_frames)
    latents = encode_video(vae, frames)
    assert latents.shape == (2, 16, (num_frames - 1) // 4 + 1, 4, 4)
    expected = vae.encode(frames).latent_dist
    torch.testing.assert_close(latents, normalise_latents(vae, expected.mode()), **TOLERANCE)
    torch.testing.assert_close(encode_posterior(vae, frames)[1], expected.logvar, **TOLERANCE)


@pytest.mark.parametrize("num_latent_frames", [1, 2, 4])
def test_decoded_frames_equal_the_library(vae, num_latent_frames):
    latents = torch.randn(1, 16, num_latent_frames, 4, 4, generator=torch.Generator().manual_seed(1))
    frames = decode_video(vae, latents)
    assert frames.shape == (1, 3, 1 + 4 * (num_latent_frames - 1), 32, 32)
    expected = vae.decode(denormalise_latents(vae, latents)).sample
    torch.testing.assert_close(frames, expected, **TOLERANCE)


def test_number_of_frames_per_chunk_changes_nothing(patched_vae, monkeypatch):
    frames = random_frames(num_frames=17)
    results = []
    for elements in (1, 50_000, 2**30):
        monkeypatch.setattr(video, "CPU_CHUNK_ELEMENTS", elements)
        latents = encode_video(patched_vae, frames)
        results.append((latents, decode_video(patched_vae, latents)))
    for latents, decoded in results[1:]:
        torch.testing.assert_close(latents, results[0][0], **TOLERANCE)
        torch.testing.assert_close(decoded, results[0][1], **TOLERANCE)


def test_a_batch_gives_what_single_clips_give(patched_vae):
    frames = random_frames(batch_size=3, num_frames=5)
    together = encode_video(patched_vae, frames)
    for index in range(3):
        torch.testing.assert_close(
            together[index], encode_video(patched_vae, frames[index : index + 1])[0], **TOLERANCE
        )


def test_normalisation_uses_the_constants_of_the_config(published_vae):
    raw = torch.randn(1, 16, 1, 2, 2)
    mean, deviation = (torch.tensor(published_vae.config[name]) for name in ("latents_mean", "latents_std"))
    normal = normalise_latents(published_vae, raw)
    torch.testing.assert_close(normal[0, :, 0, 0, 0], (raw[0, :, 0, 0, 0] - mean) / deviation)
    torch.testing.assert_close(denormalise_latents(published_vae, normal), raw)


def test_unclamped_decode_keeps_a_gradient_where_pixels_are_saturated(patched_vae):
    patched_vae.decoder.conv_out.bias.fill_(3.0)
    latents = torch.randn(1, 16, 1, 4, 4).requires_grad_(True)
    pixels = decode_unclamped(patched_vae, latents)
    saturated = pixels.abs() > 1
    assert saturated.any()
    pixels[saturated].sum().backward()
    assert latents.grad.abs().max() > 0
    assert decode_video(patched_vae, latents).abs().max() == 1


def test_tiling_is_honoured(patched_vae, monkeypatch):
    latents = torch.randn(1, 16, 2, 8, 8)
    plain = decode_video(patched_vae, latents)
    patched_vae.enable_tiling(32, 32, 16, 16)
    tiled = decode_video(patched_vae, latents)
    assert tiled.shape == plain.shape
    assert not torch.equal(tiled, plain)
    assert (tiled - plain).abs().mean() < 0.3


def test_frames_that_the_autoencoder_would_drop_are_an_error(published_vae):
    with pytest.raises(GeometryError, match="1 plus a multiple of 4, got 7; nearest are 5 and 9"):
        encode_video(published_vae, random_frames(num_frames=7))
    with pytest.raises(GeometryError, match="height must be a multiple of 8, got 30; nearest are 24 and 32"):
        encode_video(published_vae, random_frames(size=30))
    with pytest.raises(GeometryError, match=r"\(B, 3, F, H, W\)"):
        encode_video(published_vae, torch.zeros(3, 5, 32, 32))


def test_pixels_survive_the_way_to_the_model_and_back():
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 8, 6, 3), dtype=np.uint8)
    pixels = frames_to_tensor(frames)
    assert pixels.shape == (2, 3, 5, 8, 6)
    assert pixels.min() >= -1
    assert pixels.max() <= 1
    assert np.array_equal(tensor_to_frames(pixels), frames)
    assert np.array_equal(tensor_to_frames(frames_to_tensor(frames[0]))[0], frames[0])
    with pytest.raises(GeometryError, match="uint8"):
        frames_to_tensor(frames.astype(np.float32))
