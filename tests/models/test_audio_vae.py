"""The audio autoencoder: lengths, weight norm, training, hooks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.errors import ConfigError, GeometryError
from mova.models.audio_vae import AudioAutoencoder, AudioPosterior

SIZES = {
    "encoder_dim": 4,
    "encoder_rates": [2, 3],
    "latent_dim": 8,
    "decoder_dim": 16,
    "decoder_rates": [3, 2],
    "sample_rate": 16_000,
}


def _autoencoder(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AudioAutoencoder(**{**SIZES, **options}).eval()


def _waveform(batch, length, seed=1):
    return torch.rand(batch, 1, length, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@given(length=st.integers(1, 50), rates=st.lists(st.integers(2, 5), min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_any_length_becomes_whole_hops(length, rates):
    options = {"encoder_rates": rates, "decoder_rates": rates[::-1], "encoder_dim": 2, "decoder_dim": 8}
    autoencoder = _autoencoder(**options)
    assert autoencoder.hop_length == math.prod(rates)
    with torch.no_grad():
        posterior = autoencoder.encode(_waveform(1, length))
        steps = -(-length // autoencoder.hop_length)
        assert posterior.mean.shape == posterior.logvar.shape == (1, 8, steps)
        assert autoencoder.decode(posterior.mode()).shape == (1, 1, steps * autoencoder.hop_length)
        assert autoencoder(_waveform(1, length)).shape == (1, 1, length)


def test_encoding_pads_with_silence_at_the_end():
    autoencoder, waveform = _autoencoder(), _waveform(1, 10)
    padded = torch.cat((waveform, torch.zeros(1, 1, 2)), dim=-1)
    assert torch.equal(autoencoder.encode(waveform).mean, autoencoder.encode(padded).mean)


def test_a_batch_gives_what_single_samples_give():
    autoencoder, waveform = _autoencoder(), _waveform(3, 24)
    with torch.no_grad():
        together = autoencoder.decode(autoencoder.encode(waveform).mode())
        for sample in range(3):
            alone = autoencoder.decode(autoencoder.encode(waveform[sample : sample + 1]).mode())
            torch.testing.assert_close(together[sample : sample + 1], alone, atol=1e-6, rtol=1e-5)


def test_folding_weight_norm_changes_names_but_no_result():
    autoencoder, waveform = _autoencoder(use_weight_norm=True), _waveform(2, 30)
    for name, parameter in autoencoder.named_parameters():
        if name.endswith("weight_g"):
            parameter.data.mul_(1.5)
    assert any(name.endswith("weight_v") for name in autoencoder.state_dict())
    with torch.no_grad():
        before = autoencoder.encode(waveform), autoencoder(waveform, torch.Generator().manual_seed(0))
        autoencoder.fold_weight_norm()
        after = autoencoder.encode(waveform), autoencoder(waveform, torch.Generator().manual_seed(0))
    assert torch.equal(before[0].mean, after[0].mean)
    assert torch.equal(before[0].logvar, after[0].logvar)
    assert torch.equal(before[1], after[1])
    assert set(autoencoder.state_dict()) == set(_autoencoder().state_dict())
    assert autoencoder.config.use_weight_norm is False
    assert isinstance(autoencoder.encoder.block[0].weight, torch.nn.Parameter)


def test_weight_norm_starts_from_the_plain_weights_and_is_trained_by_length_and_direction():
    plain, normed = _autoencoder(), _autoencoder(use_weight_norm=True)
    waveform = _waveform(1, 12)
    torch.testing.assert_close(normed.encode(waveform).mean, plain.encode(waveform).mean, atol=1e-6, rtol=1e-5)
    normed(waveform).square().mean().backward()
    assert all(parameter.grad is not None for parameter in normed.parameters())


def test_training_reconstructs_one_tone_better():
    autoencoder = _autoencoder().train()
    tone = torch.sin(torch.arange(96) * 0.4).view(1, 1, -1) * 0.5
    optimizer = torch.optim.Adam(autoencoder.parameters(), 5e-3)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(30):
        posterior = autoencoder.encode(tone)
        loss = (autoencoder.decode(posterior.sample(generator)) - tone).abs().mean() + 1e-4 * posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_the_divergence_is_zero_at_the_standard_normal_and_an_average():
    assert torch.equal(AudioPosterior(torch.zeros(2, 3, 5), torch.zeros(2, 3, 5)).kl(), torch.zeros(2))
    wide = AudioPosterior(torch.ones(2, 3, 5), torch.zeros(2, 3, 5)).kl()
    torch.testing.assert_close(wide, torch.full((2,), 0.5))


def test_samples_follow_their_generator_and_the_posterior():
    posterior = AudioPosterior(torch.full((1, 1, 20_000), 2.0), torch.full((1, 1, 20_000), math.log(0.25)))
    draws = [posterior.sample(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].mean().item() == pytest.approx(2.0, abs=0.02)
    assert draws[0].std().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("offload_type", ["leaf_level", "block_level"])
@pytest.mark.parametrize("use_weight_norm", [False, True])
def test_group_offload_brings_every_parameter_back_for_its_use(tmp_path, offload_type, use_weight_norm):
    autoencoder, waveform = _autoencoder(use_weight_norm=use_weight_norm), _waveform(1, 30)
    with torch.no_grad():
        expected = autoencoder.decode(autoencoder.encode(waveform).mode())
    autoencoder.enable_group_offload(
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type=offload_type,
        offload_to_disk_path=str(tmp_path),
        **({"num_blocks_per_group": 1} if offload_type == "block_level" else {}),
    )
    for parameter in autoencoder.parameters():
        parameter.data.fill_(float("nan"))
    with torch.no_grad():
        assert torch.equal(autoencoder.decode(autoencoder.encode(waveform).mode()), expected)


@pytest.mark.parametrize("shape", [(1, 2, 8), (1, 8), (1, 1, 0)])
def test_waveforms_of_another_shape_are_refused(shape):
    with pytest.raises(GeometryError, match=r"waveform must be \(B, 1, S\)"):
        _autoencoder().encode(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"continuous": False}, "continuous must be true"),
        ({"decoder_rates": [2, 2]}, "decoder_rates must multiply to the encoder's hop 6, got 4"),
        ({"decoder_dim": 6}, "decoder_dim must be a multiple of 4, got 6"),
    ],
)
def test_sizes_that_cannot_be_used_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        _autoencoder(**options)
