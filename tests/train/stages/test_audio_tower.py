"""The audio tower on its own."""

import json

import torch

from mova.train.loop.checkpoint import newest_state
from mova.train.loop.trainer import Trainer
from mova.train.stages.audio_tower import AudioTowerStage
from mova.weights.components import load_component


def test_the_audio_tower_learns_alone(make_config, ladder_run, tmp_path):
    folder, _ = ladder_run
    config = make_config(
        "tiny_audio_tower",
        tmp_path / "model",
        "run.max_steps=25",
        "run.batch_size=8",
        "optimizer.lr=2e-3",
        "run.ema_decay=0.5",
        "optimizer.warmup_steps=3",
        f"encoders={folder}/mova-tiny",
    )
    stage = AudioTowerStage(config, folder / "latents")
    after = Trainer(stage, config.run, config.optimizer, tmp_path / "log").run()
    barely_begun = json.loads((folder / "tiny_audio_tower" / "done.json").read_text())
    assert after["audio_error_0.95"] < 0.96 * barely_begun["audio_error_0.95"]
    exported = load_component(tmp_path / "model" / "audio_dit")
    assert torch.equal(exported.state_dict()["head.head.bias"], averaged_bias(tmp_path / "log", exported))


def averaged_bias(folder, tower):
    """The averaged bias of the head in the run's last state."""
    average = {"average/audio_dit/head.head.bias": torch.empty_like(tower.state_dict()["head.head.bias"])}
    newest_state(folder / "checkpoints").read_into(average)
    return next(iter(average.values()))


def test_its_clips_are_dealt_out_and_named(make_config, ladder_run):
    folder, _ = ladder_run
    stage = AudioTowerStage(make_config("tiny_audio_tower", folder / "model", "run.batch_size=5"), folder / "latents")
    names = [name for step in range(2) for name in stage.samples(step)]
    assert len(set(names)) == 10
    assert stage.position(3)["epoch"] == 1
    stage.resume_at(stage.position(3))


def test_text_is_dropped_in_its_share(make_config, ladder_run):
    folder, _ = ladder_run
    config = make_config("tiny_audio_tower", folder / "model", "run.batch_size=8", "text_dropout=0.999")
    stage = AudioTowerStage(config, folder / "latents")
    seen = []
    stage.tower.register_forward_pre_hook(lambda _, args: seen.append(args[2]))
    next(iter(stage.losses(0, 0.0)))
    assert all(torch.equal(row, stage.data.train.null_prompt.float()) for row in seen[0])
