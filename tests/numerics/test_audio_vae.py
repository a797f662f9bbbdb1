"""The audio autoencoder against the recorded one."""

from __future__ import annotations

import pytest
import torch

from mova.models.audio_vae import AudioAutoencoder, AudioPosterior


@pytest.fixture
def recorded(read_record):
    record = read_record("dac_vae")
    autoencoder = AudioAutoencoder(**record.settings["config"]).eval()
    autoencoder.load_state_dict(record.weights(), strict=True)
    return record, autoencoder


def test_posterior_is_the_recorded_one_after_padding(recorded):
    record, autoencoder = recorded
    posterior = autoencoder.encode(record.tensors["input.audio"])
    record.assert_close(posterior.mean, "output.encode.mean")
    record.assert_close(posterior.logvar, "output.encode.logvar")
    record.assert_close(posterior.mode(), "output.encode.mode")
    record.assert_close(posterior.kl(), "output.encode.kl")
    record.assert_close(posterior.kl().mean(), "output.forward.kl_loss")


def test_decoding_is_the_recorded_one(recorded):
    record, autoencoder = recorded
    record.assert_close(autoencoder.decode(record.tensors["input.z"]), "output.decode.audio")
    record.assert_close(autoencoder.decode(record.tensors["output.encode.mode"]), "output.decode_of_mode.audio")


def test_forward_draws_and_decodes_as_recorded(recorded):
    record, autoencoder = recorded
    posterior = AudioPosterior(record.tensors["output.encode.mean"], record.tensors["output.encode.logvar"])
    record.assert_close(posterior.sample(torch.Generator().manual_seed(777)), "output.forward.z")
    waveform = autoencoder(record.tensors["input.audio"], torch.Generator().manual_seed(777))
    record.assert_close(waveform, "output.forward.audio")


def test_first_blocks_are_the_recorded_ones(recorded):
    record, autoencoder = recorded
    encoded = autoencoder.encoder.block[:2](record.tensors["output.preprocessed"])
    record.assert_close(encoded, "output.encoder.block1")
    features = autoencoder.post_quant_conv(record.tensors["input.z"])
    record.assert_close(autoencoder.decoder.model[:2](features), "output.decoder.block1")


def test_without_padding_the_results_are_the_recorded_ones(recorded):
    record, autoencoder = recorded
    autoencoder.disable_padding()
    posterior = autoencoder.encode(record.tensors["nopad.input"])
    mean, logvar = record.tensors["nopad.encode.parameters"].chunk(2, dim=1)
    record.tensors.update({"nopad.mean": mean, "nopad.logvar": logvar.clamp(-30, 20)})
    record.assert_close(posterior.mean, "nopad.mean")
    record.assert_close(posterior.logvar, "nopad.logvar")
    record.assert_close(autoencoder.decode(record.tensors["nopad.input_z"]), "nopad.decode.audio")


def test_lengths_are_the_recorded_ones(recorded):
    record, autoencoder = recorded
    assert autoencoder.hop_length == record.settings["hop_length"]
    for length, expected in record.settings["lengths_preprocess_encode_forward"].items():
        waveform = torch.zeros(1, 1, int(length))
        assert autoencoder.encode(waveform).mean.shape[-1] == expected["latent"]
        assert autoencoder(waveform).shape[-1] == expected["forward_audio"]
    for steps, expected in record.settings["decode_lengths"].items():
        assert autoencoder.decode(torch.zeros(1, 16, int(steps))).shape[-1] == expected
