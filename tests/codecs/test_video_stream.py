"""A video that is decoded piece by piece."""

import pytest
import torch

from mova.codecs.video import decode_video
from mova.codecs.video_stream import VideoStream
from mova.errors import ConfigError, GeometryError

ROUNDING = 2e-6


@pytest.fixture
def latents(patched_vae):
    return torch.randn(1, patched_vae.config.z_dim, 9, 16, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pieces", [[9], [1, 8], [4, 1, 3, 1]])
@pytest.mark.parametrize("bands", [1, 2])
def test_pieces_are_the_video_that_is_decoded_at_once(patched_vae, latents, pieces, bands):
    whole = decode_video(patched_vae, latents)
    stream = VideoStream(patched_vae, bands=bands)
    parts = [stream.push(part) for part in latents.split(pieces, dim=2)]
    assert [part.shape[2] for part in parts] == [4 * n - 3 * (not index) for index, n in enumerate(pieces)]
    assert (torch.cat(parts, dim=2) - whole).abs().max() < ROUNDING


def test_a_piece_can_be_taken_back(patched_vae, latents):
    stream = VideoStream(patched_vae)
    stream.push(latents[:, :, :4])
    before = stream.mark()
    stream.push(torch.full_like(latents[:, :, 4:], 3.0))
    stream.go_back(before)
    again = stream.push(latents[:, :, 4:])
    whole = decode_video(patched_vae, latents)
    assert (again - whole[:, :, 13:]).abs().max() < ROUNDING


def test_latents_of_another_size_are_refused(patched_vae, latents):
    stream = VideoStream(patched_vae)
    stream.push(latents)
    with pytest.raises(GeometryError, match="of one size"):
        stream.push(latents[..., :4])


def test_an_autoencoder_that_begins_anew_with_every_piece_is_refused(patched_vae):
    patched_vae.enable_tiling()
    with pytest.raises(ConfigError, match="piece by piece"):
        VideoStream(patched_vae)
