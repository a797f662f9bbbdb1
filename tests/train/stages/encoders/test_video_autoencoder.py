"""The video autoencoder's training at minimal size."""

import json

import pytest
import torch

from mova.codecs.video import encode_video
from mova.errors import ConfigError
from mova.train.loop.trainer import Trainer
from mova.train.stages.encoders.video_autoencoder import VideoAutoencoderStage
from mova.weights.components import load_component
from mova.weights.locate import find_model


@pytest.fixture(scope="module")
def make_stage(make_config, ladder_run):
    """Return a function that makes the stage on the ladder's rendered clips."""

    def make(model, *changes, name="tiny_video_autoencoder"):
        config = make_config(name, model, *changes)
        return VideoAutoencoderStage(config, ladder_run[0] / "clips"), config

    return make


@pytest.mark.slow
def test_the_picture_is_learned(make_stage, ladder_run, tmp_path):
    stage, config = make_stage(tmp_path / "model", "run.max_steps=16", "optimizer.warmup_steps=3", "run.ema_decay=0.5")
    after = Trainer(stage, config.run, config.optimizer, tmp_path / "log").run()
    barely_begun = json.loads((ladder_run[0] / "tiny_video_autoencoder" / "done.json").read_text())
    assert after["psnr_db"] > barely_begun["psnr_db"] + 5
    assert after["box_psnr_db"] > barely_begun["box_psnr_db"]
    exported = load_component(tmp_path / "model" / "video_vae")
    with torch.no_grad():
        latents = encode_video(exported, stage.pool.crops(torch.Generator().manual_seed(0), 10, None, 17)[0])
    assert latents.mean((0, 2, 3, 4)).abs().max() < 0.5
    assert 0.3 < float(latents.std()) < 1.3


def test_the_loss_follows_from_seed_and_step(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model")
    losses = []
    for step, noise in ((4, 1), (4, 2), (5, 1)):
        torch.manual_seed(noise)
        with torch.no_grad():
            losses.append(next(iter(stage.losses(step, 0.0)))["loss"].item())
    assert losses[0] == losses[1] != losses[2]


def test_whole_frames_are_seen_every_second_step_from_the_recipes_progress_on(make_stage, tmp_path):
    stage, _ = make_stage(
        tmp_path / "model", "crop=16", "crop_frames=5", "full_frame_from=0.5", "full_frame_batch=1", "run.batch_size=3"
    )
    shapes = []
    stage.vae.encoder.register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape[i] for i in (0, 3))))
    seen = {}
    for step, progress in ((1, 0.4), (2, 0.6), (3, 0.6)):
        shapes.clear()
        with torch.no_grad():
            next(iter(stage.losses(step, progress)))
        seen[step] = shapes[0]
    # The encoder sees patches of two pixels.
    assert seen == {1: (3, 8), 2: (3, 8), 3: (1, 16)}


def test_whole_single_frames_share_the_loss_with_clips(make_stage, tmp_path):
    changes = "crop=16", "crop_frames=5", "run.batch_size=2", "images=3"
    stage, _ = make_stage(tmp_path / "model", *changes, "image_share=0.25")
    clips_only, _ = make_stage(tmp_path / "model", *changes[:-1])
    stage.vae.load_state_dict(clips_only.vae.state_dict())
    shapes = []
    stage.vae.decoder.register_forward_hook(lambda *call: shapes.append(call[2].shape))
    with torch.no_grad():
        clips, images = stage.losses(1, 0.0)
        (alone,) = clips_only.losses(1, 0.0)
    # Patches of two pixels: crops of 16 pixels, frames of 32.
    assert (shapes[0][0], *shapes[0][3:]) == (2, 8, 8)
    assert (shapes[-1][0], *shapes[-1][2:]) == (3, 1, 16, 16)
    assert clips["loss"].item() == pytest.approx(0.75 * alone["loss"].item())
    assert images["loss"] > 0


def test_what_moves_weighs_more(make_stage, tmp_path):
    """All weight on the moving pixels: the loss is that of another part of the picture."""
    plain, _ = make_stage(tmp_path / "model", "motion_weight=0")
    moving, _ = make_stage(tmp_path / "model", "motion_weight=1e6")
    with torch.no_grad():
        one, other = next(iter(plain.losses(0, 0.0))), next(iter(moving.losses(0, 0.0)))
    assert one["l1"] == other["l1"]
    assert one["loss"].item() != pytest.approx(other["loss"].item(), rel=1e-3)


def test_the_decoder_alone_can_be_refined(make_stage, ladder_run, tmp_path):
    existing = load_component(ladder_run[0] / "model" / "video_vae")
    stage, _ = make_stage(ladder_run[0] / "model", "start=model", "train_encoder=false")
    trained = {id(p) for group in stage.parameter_groups() for p in group.parameters}
    assert trained == {id(p) for part in (stage.vae.decoder, stage.vae.post_quant_conv) for p in part.parameters()}
    next(iter(stage.losses(0, 0.0)))["loss"].backward()
    assert all(p.grad is None for p in stage.vae.encoder.parameters())
    for key, value in existing.encoder.state_dict().items():
        assert torch.equal(value, stage.vae.encoder.state_dict()[key])


def test_everything_is_trained_once_and_the_outermost_layers_without_muon(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model")
    body, ends = stage.parameter_groups()
    members = [id(p) for group in (body, ends) for p in group.parameters]
    assert sorted(members) == sorted(id(p) for p in stage.vae.parameters())
    assert not ends.matrices
    inside = {id(p) for p in ends.parameters}
    for layer in (stage.vae.encoder.conv_in, stage.vae.decoder.conv_out, stage.vae.quant_conv):
        assert id(layer.weight) in inside


def test_a_new_autoencoder_samples_close_to_its_mode(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model")
    frames = stage.pool.crops(torch.Generator().manual_seed(0), 1, 32, 5)[0]
    with torch.no_grad():
        posterior = stage.vae.encode(frames).latent_dist
    assert posterior.std.mean().item() == pytest.approx(0.01, rel=0.02)


def test_training_goes_on_from_a_model_by_name(make_stage, tmp_path):
    stage, _ = make_stage(tmp_path / "model", "start=mova-tiny")
    shipped = load_component(find_model("mova-tiny") / "video_vae").float()
    for key, value in shipped.state_dict().items():
        assert torch.equal(value, stage.vae.state_dict()[key])
    assert {p.dtype for p in stage.vae.parameters()} == {torch.float32}


def test_a_decoder_alone_needs_something_to_begin_with(make_stage, tmp_path):
    with pytest.raises(ConfigError, match="train_encoder must be true with start: new"):
        make_stage(tmp_path / "model", "train_encoder=false")
