"""A long clip is decoded in the order of its time."""

import numpy as np
import pytest
import torch

from mova.codecs.audio import decode_audio
from mova.codecs.video import decode_video
from mova.conditioning.windows import AUDIO_MARGIN
from mova.errors import NumericalError
from mova.pipeline.long.decoding import LongDecoder


@pytest.fixture(scope="module")
def latents(pipe):
    draw = torch.Generator().manual_seed(0)
    video = torch.randn(1, pipe.video_vae.config.z_dim, 5, 4, 4, generator=draw)
    return video, torch.randn(1, pipe.audio_vae.config.latent_dim, 20, generator=draw)


@torch.no_grad()
def test_pieces_give_what_the_whole_gives(pipe, latents):
    video, audio = latents
    total = 20 * pipe.audio_vae.hop_length - 7
    decoder = LongDecoder(pipe, None, None, total)
    frames = torch.cat([decoder.frames(video[:, :, :2]), decoder.frames(video[:, :, 2:])], dim=2)
    assert torch.allclose(frames, decode_video(pipe.video_vae, video), atol=1e-4)
    samples = np.concatenate([decoder.samples(audio[..., :9]), decoder.samples(audio[..., 9:], until=total)], axis=-1)
    whole = decode_audio(pipe.audio_vae, audio, num_samples=total)[0].numpy()
    assert samples.shape == whole.shape
    assert np.abs(samples - whole).max() < 1e-4


@torch.no_grad()
def test_what_was_given_stays_up_to_the_last_latents_that_it_fills(pipe, latents):
    video, audio = latents
    hop = pipe.audio_vae.hop_length
    own = np.full((1, 10 * hop + 3), 0.25, np.float32)
    frames = np.full((5, 32, 32, 3), 200, np.uint8)
    decoder = LongDecoder(pipe, frames, own, 20 * hop)
    made = decoder.frames(video)
    assert made[:, :, :5].unique().numel() == 1
    assert made[:, :, 5:].unique().numel() > 1
    samples = decoder.samples(audio, until=20 * hop)
    end = (10 - AUDIO_MARGIN) * hop
    assert np.array_equal(samples[:, :end], own[:, :end])
    assert not np.array_equal(samples[:, end : 10 * hop], own[:, end : 10 * hop])


@torch.no_grad()
def test_what_is_not_finite_is_said(pipe, latents):
    decoder = LongDecoder(pipe, None, None, 100)
    with pytest.raises(NumericalError, match="video must hold finite numbers"):
        decoder.frames(latents[0] * float("nan"))
    with pytest.raises(NumericalError, match="audio must hold finite numbers"):
        decoder.samples(latents[1] * float("nan"), until=100)
