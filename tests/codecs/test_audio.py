import pytest
import torch

from mova.codecs.audio import decode_audio, encode_audio, pad_to_hop
from mova.errors import GeometryError
from mova.weights.components import load_component


@pytest.fixture(scope="module")
def autoencoder(checkpoint):
    return load_component(checkpoint / "audio_vae", expected_class="DAC").requires_grad_(False)


def waveform(num_samples, batch_size=1):
    return torch.rand(batch_size, 1, num_samples, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("num_samples", [1, 959, 960, 961, 18_000])
def test_latents_cover_the_samples_and_decode_to_as_many(autoencoder, num_samples):
    latents = encode_audio(autoencoder, waveform(num_samples))
    assert latents.shape == (1, 16, -(-num_samples // 960))
    assert latents.dtype == torch.float32
    assert decode_audio(autoencoder, latents).shape[-1] == latents.shape[-1] * 960
    assert decode_audio(autoencoder, latents, num_samples=num_samples).shape == (1, 1, num_samples)


def test_trimming_only_cuts_the_end(autoencoder):
    latents = encode_audio(autoencoder, waveform(2000))
    whole = decode_audio(autoencoder, latents)
    assert torch.equal(decode_audio(autoencoder, latents, num_samples=1500), whole[..., :1500])


def test_latents_are_the_mode_of_the_padded_sound(autoencoder):
    sound = waveform(1000)
    padded = torch.cat([sound, torch.zeros(1, 1, 920)], dim=-1)
    assert torch.equal(pad_to_hop(sound, 960), padded)
    assert torch.equal(encode_audio(autoencoder, sound), autoencoder.encode(padded).mean)


def test_a_batch_gives_what_single_sounds_give(autoencoder):
    sounds = waveform(1920, batch_size=2)
    together = encode_audio(autoencoder, sounds)
    torch.testing.assert_close(together[1:], encode_audio(autoencoder, sounds[1:]), atol=1e-5, rtol=1e-5)


def test_sound_stays_in_float32_under_autocast(autoencoder):
    sound = waveform(1920)
    expected = encode_audio(autoencoder, sound)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encode_audio(autoencoder, sound), expected)
        decoded = decode_audio(autoencoder, expected)
    assert torch.equal(decoded, decode_audio(autoencoder, expected))


def test_decoded_sound_equals_the_recorded_one(autoencoder, record):
    decoded = decode_audio(autoencoder, record["output.cfg1.final_audio_latents"])
    torch.testing.assert_close(decoded, record["output.cfg1.audio"], atol=1.1e-4, rtol=1e-4)


def test_wrong_lengths_and_shapes_are_errors(autoencoder):
    latents = torch.zeros(1, 16, 2)
    with pytest.raises(GeometryError, match="2 audio latents hold 1 to 1920 samples, got 1921"):
        decode_audio(autoencoder, latents, num_samples=1921)
    with pytest.raises(GeometryError, match=r"\(B, 1, S\)"):
        encode_audio(autoencoder, torch.zeros(1, 2, 960))
    with pytest.raises(GeometryError, match="at least one sample"):
        encode_audio(autoencoder, torch.zeros(1, 1, 0))
