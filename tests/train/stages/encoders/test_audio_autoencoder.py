"""The audio autoencoder's training at minimal size."""

import json
import math

import pytest
import torch

from mova.errors import ConfigError
from mova.train.loop.trainer import Trainer
from mova.train.stages.encoders.audio_autoencoder import AudioAutoencoderStage, spectral_distance
from mova.weights.components import load_component
from mova.weights.locate import find_model


@pytest.fixture(scope="module")
def make_stage(make_config, ladder_run):
    """Return a function that makes the stage on the ladder's rendered clips."""

    def make(model, *changes):
        config = make_config("tiny_audio_autoencoder", model, *changes)
        return AudioAutoencoderStage(config, ladder_run[0] / "clips"), config

    return make


@pytest.mark.slow
def test_the_sound_is_learned(make_stage, tmp_path):
    stage, config = make_stage(
        tmp_path / "model", "run.max_steps=16", "segment_steps=10", "optimizer.warmup_steps=3", "run.ema_decay=0.5"
    )
    trainer = Trainer(stage, config.run, config.optimizer, tmp_path / "log")
    trainer.run()
    log = [json.loads(line) for line in (trainer.folder / "log.jsonl").read_text().splitlines()]
    losses = [line["spectrum"] for line in log if line["event"] == "train"]
    assert sum(losses[-4:]) < 0.7 * sum(losses[:4])
    assert log[-1]["spectrum"] < 0.7 * losses[0]
    assert math.isfinite(log[-1]["level_db_worst"])


def test_export_scales_the_latents_and_leaves_the_sound_as_it_was(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model")
    waveform = stage.waveforms[:10].unsqueeze(1)
    with torch.no_grad():
        before = stage.vae.decode(stage.vae.encode(waveform).mode())
        stage.export()
        exported = load_component(tmp_path / "model" / "audio_vae")
        latents = exported.encode(waveform).mode()
        after = exported.decode(latents)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)
    assert latents.mean((0, 2)).abs().max() < 0.02
    assert latents.std().item() == pytest.approx(1.0, abs=0.02)


def test_the_loss_follows_from_seed_and_step(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model")
    losses = []
    for step, noise in ((4, 1), (4, 2), (5, 1)):
        torch.manual_seed(noise)
        with torch.no_grad():
            losses.append(next(iter(stage.losses(step, 0.0)))["loss"].item())
    assert losses[0] == losses[1] != losses[2]


def test_the_decoder_alone_can_be_refined(make_stage, ladder_run):
    stage, _ = make_stage(ladder_run[0] / "model", "start=model", "train_encoder=false")
    existing = load_component(ladder_run[0] / "model" / "audio_vae")
    trained = {id(p) for group in stage.parameter_groups() for p in group.parameters}
    assert trained == {id(p) for part in (stage.vae.decoder, stage.vae.post_quant_conv) for p in part.parameters()}
    for key, value in existing.state_dict().items():
        assert torch.equal(value, stage.vae.state_dict()[key])


def test_everything_is_trained_once_and_the_outermost_layers_without_muon(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model")
    body, ends = stage.parameter_groups()
    members = [id(p) for group in (body, ends) for p in group.parameters]
    assert sorted(members) == sorted(id(p) for p in stage.vae.parameters())
    assert not ends.matrices
    inside = {id(p) for p in ends.parameters}
    outermost = [stage.vae.encoder.block[0], stage.vae.quant_conv, stage.vae.decoder.model[-2]]
    assert all(id(layer.weight) in inside for layer in outermost)
    assert id(stage.vae.encoder.block[1].block[0].block[1].weight) not in inside


def test_segments_longer_than_the_clips_are_refused(make_stage, tmp_path):
    with pytest.raises(ConfigError, match="segment_steps must be at most 35 for clips of 17 frames, got 36"):
        make_stage(tmp_path / "model", "segment_steps=36")
    next(iter(make_stage(tmp_path / "model", "segment_steps=35")[0].losses(0, 0.0)))


def tone(frequency: float, level: float = 0.5) -> torch.Tensor:
    times = torch.arange(8000) / 16_000
    return level * torch.sin(2 * math.pi * frequency * times).unsqueeze(0)


def test_the_spectral_distance_is_zero_for_equal_sounds_and_grows_with_the_difference():
    reference = tone(440)
    assert spectral_distance(reference, reference).item() == 0.0
    near, far = spectral_distance(tone(440, 0.4), reference), spectral_distance(tone(900), reference)
    assert 0 < near < far


def test_the_spectral_distance_hears_no_phase():
    shifted = torch.roll(tone(500), 8, dims=1)  # a quarter of a period
    assert spectral_distance(shifted, tone(500)) < 0.25 * spectral_distance(tone(700), tone(500))


def test_quiet_sounds_count_as_much_as_loud_ones():
    """Half the level is the same relative mistake at any level."""
    loud = spectral_distance(tone(440, 0.4), tone(440, 0.8))
    quiet = spectral_distance(tone(440, 0.1), tone(440, 0.2))
    assert quiet.item() == pytest.approx(loud.item(), rel=0.25)


def test_training_goes_on_from_a_model_by_name(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model", "start=mova-tiny")
    shipped = load_component(find_model("mova-tiny") / "audio_vae").float()
    for key, value in shipped.state_dict().items():
        assert torch.equal(value, stage.vae.state_dict()[key])
