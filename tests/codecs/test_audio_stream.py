"""Audio that is decoded and encoded piece by piece."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.codecs.audio import decode_audio, encode_audio
from mova.codecs.audio_stream import AudioStream, decoder_reach, encode_span
from mova.errors import GeometryError
from mova.models.audio_vae import AudioAutoencoder

ROUNDING = 1e-6


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    model = AudioAutoencoder(
        encoder_dim=4, encoder_rates=[2, 3], latent_dim=8, decoder_dim=16, decoder_rates=[3, 2], sample_rate=8000
    )
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def latents():
    return torch.randn(1, 8, 120, generator=torch.Generator().manual_seed(1))


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=5))
def test_pieces_are_the_audio_that_is_decoded_at_once(autoencoder, latents, cuts):
    whole = decode_audio(autoencoder, latents)
    edges = [0, *sorted(cuts), 120]
    stream = AudioStream(autoencoder)
    parts = [stream.push(latents[..., first:last]) for first, last in pairwise(edges)]
    parts.append(stream.finish())
    assert (torch.cat(parts, dim=-1) - whole).abs().max() < ROUNDING


def test_samples_come_out_as_soon_as_nothing_can_change_them(autoencoder, latents):
    stream = AudioStream(autoencoder)
    reach = decoder_reach(autoencoder)
    assert stream.push(latents[..., :reach]).shape[-1] == 0
    assert stream.push(latents[..., reach : reach + 3]).shape[-1] == 3 * autoencoder.hop_length


def test_nothing_beyond_the_reach_changes_a_sample(autoencoder, latents):
    reach = decoder_reach(autoencoder)
    changed = latents.clone()
    changed[..., 60 + reach :] = 9.0
    same = 60 * autoencoder.hop_length
    before, after = decode_audio(autoencoder, latents), decode_audio(autoencoder, changed)
    assert (before - after)[..., :same].abs().max() < ROUNDING
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (20, 60), (90, 100), (95, 130)])
def test_a_span_is_encoded_as_a_part_of_the_whole(autoencoder, start, stop):
    waveform = torch.rand(1, 1, 600, generator=torch.Generator().manual_seed(2)) - 0.5
    silence = torch.zeros(1, 1, 600)
    whole = encode_audio(autoencoder, torch.cat([waveform, silence], dim=-1))
    assert (encode_span(autoencoder, waveform, start, stop) - whole[..., start:stop]).abs().max() < 1e-5


def test_latents_of_another_width_are_refused(autoencoder, latents):
    stream = AudioStream(autoencoder)
    stream.push(latents)
    with pytest.raises(GeometryError, match="of one width"):
        stream.push(latents[:, :4])
