"""What the processes of test_interrupt do: trainings that one process is asked to stop, or that a clock ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.optim.optimizer import register_optimizer_step_post_hook

import mova
import mova.train.loop.checkpoint as checkpoint
import mova.train.loop.trainer as trainer
from mova.cli.app import main
from mova.distributed.fsdp import local
from mova.errors import NumericalError
from mova.train.ladder import run_recipe
from mova.train.loop.checkpoint import list_states
from shared_training import JOINT, train

LENGTH = ["parallel.shard=2", "run.max_steps=4", "run.validate_every=2"]


def stop(rank: int, folder: Path) -> dict[str, Any]:
    return _stop_and_go_on(rank, folder) | {
        "limited": _limited(rank, folder),
        "bad": _spoilt(rank, folder.parent),
        "waited": _waited(folder.parent),
    }


def straight_twelve(_rank: int, folder: Path) -> list[float]:
    return train(folder.parent, "twelve", JOINT, [*LENGTH, "run.max_steps=12"])


def _stop_and_go_on(rank: int, folder: Path) -> dict[str, Any]:
    shared = folder.parent
    train(shared, "straight", JOINT, LENGTH)
    # The one that is asked is not the one that writes; then both are asked again in the middle of saving.
    handle = _after_updates(2, lambda: rank == 1 and os.kill(os.getpid(), signal.SIGTERM))
    finish, times = checkpoint._finish, []

    def struck(*arguments: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            times.append(number)
        finish(*arguments)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "_finish", struck)
        # The group is needed again; two rounds of meeting at one address would be a race.
        left: list[None] = []
        patch.setattr("mova.distributed.mesh.leave_parallel", lambda: left.append(None))
        arguments = [text for change in [*LENGTH, f"model={shared}/stopped/model"] for text in ("--set", change)]
        code = main(["train", str(shared / "joint.yaml"), "--cache", str(shared / "cache"), *arguments])
    handle.remove()
    found = {
        "code": code,
        "left": len(left),
        "struck": len(times),
        "restored": before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "states": [path.name for path in list_states(shared / "stopped" / "joint" / "checkpoints")],
        "exported": (shared / "stopped" / "model").exists(),
    }
    train(shared, "stopped", JOINT, LENGTH, resume=True)
    return found


def _limited(rank: int, folder: Path) -> list[float]:
    """Train for a second and a half by the clock of the main process; return what the schedule followed."""
    followed: list[float] = []
    factor, clock = trainer.lr_factor, time.monotonic

    class Fast:
        monotonic = staticmethod(lambda: 5 * clock())

    def note(step: int, progress: float, config: Any) -> float:
        followed.append(progress)
        return factor(step, progress, config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "lr_factor", note)
        if rank == 1:
            patch.setattr(trainer, "time", Fast)
        limits = ["run.max_steps=1000000", "run.max_minutes=0.025", "run.checkpoint_every_s=0.3"]
        train(folder.parent, "limited", JOINT, ["parallel.shard=2", *limits])
    return followed


def _spoilt(rank: int, shared: Path) -> str:
    """Spoil a weight of which one process has the part, and let a state be saved."""
    save = trainer.Trainer._save

    def spoilt(run: trainer.Trainer) -> None:
        if rank == 1:
            parts = (local(parameter.data) for parameter in run.optimizer.parameters)
            next(part for part in parts if part.numel()).view(-1)[0] = float("nan")
        save(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "_save", spoilt)
        try:
            train(shared, "spoilt", JOINT, ["parallel.shard=2", "run.max_steps=2", "run.checkpoint_every=1"])
        except NumericalError as error:
            return str(error)
    return "none"


def _waited(shared: Path) -> str:
    """Interrupt a stage that the main process trains alone while the others wait for it."""

    def interrupt(progress: trainer.Progress) -> None:
        raise KeyboardInterrupt(f"in {progress.stage}")

    changes = [f"model={shared}/ladder/model", "parallel.shard=2", "run.batch_size=2", "run.log_every=1"]
    try:
        run_recipe(shared / "ladder.yaml", overrides=changes, on_progress=interrupt)
    except KeyboardInterrupt as met:
        return str(met)
    return "none"


def write_ladder(folder: Path) -> None:
    """Add an encoder's recipe before the joint one."""
    history = Path(mova.__file__).parent / "assets" / "mova-tiny" / "history"
    text = yaml.safe_load((history / "tiny_text_encoder.yaml").read_text())
    text["data"]["num_clips"] = 10
    text["run"]["device"] = "cpu"
    (folder / "text.yaml").write_text(yaml.safe_dump(text))
    (folder / "ladder.yaml").write_text(yaml.safe_dump({"stage": "ladder", "recipes": ["text.yaml", "joint.yaml"]}))


def _after_updates(count: int, act: Callable[[], Any]) -> Any:
    """Call `act` inside the update that makes `count`."""
    done: list[None] = []

    def hook(*_: Any) -> None:
        done.append(None)
        if len(done) == count:
            act()

    return register_optimizer_step_post_hook(hook)
