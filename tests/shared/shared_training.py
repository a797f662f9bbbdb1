"""What the processes of test_fsdp do: training runs from recipes, with weights and samples spread in many ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from mova.train.ladder import run_recipe
from mova.train.loop.trainer import Progress

TOWER = {"num_layers": 2, "text_dim": 192, "freq_dim": 64}
JOINT: dict[str, Any] = {
    "stage": "joint",
    "encoders": "mova-tiny",
    "start": {
        "audio_dit": "new",
        "changes": {
            "video_dit": TOWER | {"dim": 96, "num_heads": 4, "ffn_dim": 96},
            "video_dit_2": TOWER | {"dim": 96, "num_heads": 4, "ffn_dim": 96},
            "audio_dit": TOWER | {"dim": 48, "num_heads": 2, "ffn_dim": 64},
            "dual_tower_bridge": {
                "visual_layers": 2,
                "audio_layers": 2,
                "visual_hidden_dim": 96,
                "audio_hidden_dim": 48,
                "head_dim": 24,
            },
        },
    },
    "text_dropout": 0.3,
    "image_dropout": 0.2,
    "bridge_dropout": 0.0,
    "data": {"num_clips": 8, "validation_clips": 2, "size": 32, "num_frames": 9, "workers": 1},
    "run": {"max_steps": 3, "batch_size": 4, "device": "cpu", "log_every": 1, "ema_decay": 0.9, "validate_every": 99},
    "optimizer": {"lr": 1e-3, "warmup_steps": 0, "schedule": "constant", "weight_decay": 0.01},
}
LORA: dict[str, Any] = {key: value for key, value in JOINT.items() if key != "start"} | {
    "stage": "lora",
    "base": "mova-tiny",
    "adapters": {name: {"rank": 2} for name in ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")},
    # Not the sign of what rounding leaves of a gradient that vanishes.
    "optimizer": JOINT["optimizer"] | {"eps": 1e-5},
}
AUDIO: dict[str, Any] = {key: JOINT[key] for key in ("encoders", "data", "run", "optimizer")} | {
    "stage": "audio_tower",
    "start": {"audio_dit": "new", "changes": {"audio_dit": JOINT["start"]["changes"]["audio_dit"]}},
}


def train(folder: Path, name: str, recipe: dict[str, Any], changes: list[str], *, resume: bool = False) -> list[float]:
    """Run a recipe below `folder / name`; return the losses of its steps (on the main process)."""
    path = folder / f"{recipe['stage']}.yaml"
    overrides = [f"model={folder / name / 'model'}", *changes]
    losses: list[float] = []

    def note(progress: Progress) -> None:
        if "loss" in progress.values:
            losses.append(progress.values["loss"])

    run_recipe(
        path,
        overrides=overrides,
        resume=folder / name if resume else None,
        cache=folder / "cache",
        on_progress=note,
    )
    return losses


def write_recipes(folder: Path) -> None:
    for recipe in (JOINT, LORA, AUDIO):
        (folder / f"{recipe['stage']}.yaml").write_text(yaml.safe_dump(recipe | {"model": "to be set"}))


def two(_rank: int, folder: Path) -> dict[str, list[float]]:
    shared = folder.parent
    return {
        "replicate": train(shared, "replicate", JOINT, ["parallel.replicate=2", "run.micro_batch=1"]),
        "tokens": train(shared, "tokens", JOINT, ["parallel.ulysses=2"]),
        "lora": train(shared, "lora_shard", LORA, ["parallel.shard=2"]),
        "audio": train(shared, "audio_shard", AUDIO, ["parallel.shard=2"]),
        "two_to_one": train(shared, "two_to_one", JOINT, ["parallel.shard=2", "run.max_steps=2"]),
    }


def four(_rank: int, folder: Path) -> dict[str, list[float]]:
    shared = folder.parent
    return {
        "hybrid": train(shared, "hybrid", JOINT, ["parallel.replicate=2", "parallel.shard=2"]),
        "context": train(shared, "context", JOINT, ["parallel.shard=2", "parallel.ulysses=2"]),
        "ring": train(shared, "ring", JOINT, ["parallel.ring=2", "parallel.ulysses=2", "run.micro_batch=2"]),
        "four_to_two": train(shared, "four_to_two", JOINT, ["parallel.shard=4", "run.max_steps=2"]),
    }


def two_go_on(_rank: int, folder: Path) -> list[float]:
    return train(folder.parent, "four_to_two", JOINT, ["parallel.shard=2"], resume=True)


def forget_finished(folder: Path, name: str) -> None:
    """Let a run that was ended early be gone on with."""
    (folder / name / "joint" / "done.json").unlink()
    torch.manual_seed(0)
