"""What the processes of test_validation do: trainings that make clips at their validation."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from mova.names import COMPONENTS
from mova.train.build.components import build_components
from mova.train.config.joint import StartConfig
from mova.train.validation import ClipSampler
from mova.weights.components import write_component
from shared_training import JOINT, LORA, train

CLIPS = ["validation.clips=2", "validation.num_inference_steps=2", "validation.modality_scale=1.5"]
# One step that changes next to nothing, so that all runs make their clips from the same weights.
STILL = ["run.max_steps=1", "optimizer.lr=1e-12", *CLIPS]


def write_base(folder: Path) -> None:
    """Write small components whose velocities are not zero, as those of new towers are."""
    torch.manual_seed(2)
    start = StartConfig(**dict.fromkeys(COMPONENTS, "new")).model_copy(update={"changes": JOINT["start"]["changes"]})
    for name, component in build_components(start, COMPONENTS, folder).items():
        if "dit" in name:
            torch.nn.init.normal_(component.head.head.weight, std=0.1)
        write_component(component, folder / "base" / name)


def make(folder: Path, name: str, *changes: str, recipe: dict[str, Any] = JOINT) -> list[list[torch.Tensor]]:
    """Run a recipe; return the latents that this process had of each clip."""
    latents: list[list[torch.Tensor]] = []
    denoise = ClipSampler._denoise

    def noted(sampler: ClipSampler, *arguments: Any) -> Any:
        found = denoise(sampler, *arguments)
        latents.append([found[0].video.clone(), found[0].audio.clone()])
        return found

    base = [f"start.{part}={folder}/base/{part}" for part in COMPONENTS] + ["start.changes={}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipSampler, "_denoise", noted)
        train(folder, name, recipe, [*(base if recipe is JOINT else ()), *STILL, *changes])
    return latents


def several(rank: int, folder: Path) -> dict[str, Any]:
    """Make clips in two layouts, on a disk that breaks, and while being asked to stop."""
    shared = folder.parent
    for name, layout in (("shard", "parallel.shard=2"), ("ring", "parallel.ring=2")):
        torch.save(make(shared, name, layout), folder / f"{name}_{rank}.pt")
    return {"stopped": _stopped(rank, shared), "broken": _broken(shared)}


def adapted(rank: int, folder: Path) -> None:
    """Make clips with adapters on sharded weights."""
    torch.save(make(folder.parent, "lora_shard", "parallel.shard=2", recipe=LORA), folder / f"lora_shard_{rank}.pt")


def _stopped(rank: int, shared: Path) -> str:
    """Ask one process to stop while the clips of the first validation are made."""
    denoise = ClipSampler._denoise

    def struck(sampler: ClipSampler, *arguments: Any) -> Any:
        if rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return denoise(sampler, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipSampler, "_denoise", struck)
        return _error_of(shared, "stopped", "run.max_steps=5", "run.validate_every=2")


def _broken(shared: Path) -> str:
    """Let the main process meet an error that the others could not know of."""

    def broken(*_: Any, **_settings: Any) -> None:
        raise OSError("the disk is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mova.train.validation.write_clip", broken)
        return _error_of(shared, "broken")


def _error_of(shared: Path, name: str, *changes: str) -> str:
    try:
        make(shared, name, "parallel.shard=2", *changes)
    except (KeyboardInterrupt, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "none"
