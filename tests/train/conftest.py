"""A ladder at minimal size, run once, and a stage that is small enough to follow by hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mova
from mova.recipe.locate import list_recipes
from mova.train.config import OptimizerConfig, RunConfig, StageConfig, accepts, load_recipe
from mova.train.ladder import run_recipe
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.trainer import Progress, Trainer, step_generator
from mova.train.stages.encoders.seeded import SeededStage

NUM_CLIPS = 10
MODEL = Path(mova.__file__).parent / "assets" / "mova-tiny"
# 10 clips of 32x32 and 17 frames, 2 steps per stage; the validations take a few more.
MINIMAL = (
    f"data.num_clips={NUM_CLIPS}",
    "data.size=32",
    "data.num_frames=17",
    "data.workers=1",
    "run.max_steps=2",
    "run.max_minutes=null",
    "run.batch_size=2",
    "run.device=cpu",
    "run.compile=false",
    "run.log_every=1",
    "device=cpu",
    "crop=32",
    "crop_frames=17",
    "full_frame_batch=2",
    "segment_steps=20",
    "data.validation_clips=8",
    "defaults.height=32",
    "defaults.width=32",
    "defaults.num_frames=17",
    "defaults.num_inference_steps=2",
)


def recipe_file(name: str) -> Path:
    """File of a recipe: of the history of the shipped weights, whose stages are small, or else a shipped one."""
    path = MODEL / "history" / f"{name}.yaml"
    shipped = {recipe.name: recipe.path for recipe in list_recipes("train")}
    return path if path.is_file() else shipped.get(name, path)


@pytest.fixture(scope="session")
def recipes() -> Callable[[str], Path]:
    return recipe_file


@pytest.fixture(scope="session")
def minimal() -> tuple[str, ...]:
    return MINIMAL


@pytest.fixture(scope="session")
def ladder_run(tmp_path_factory) -> tuple[Path, list[Progress]]:
    """The run folder of the first ladder of mova-tiny's history and what it reported; no test changes the folder."""
    folder = tmp_path_factory.mktemp("ladder")
    shown: list[Progress] = []
    overrides = (*MINIMAL, f"model={folder}/model", f"destination={folder}/mova-tiny")
    others = random.getstate(), np.random.get_state()[1].tobytes()
    model = run_recipe(recipe_file("tiny"), overrides=overrides, on_progress=shown.append)
    assert model == folder / "model"
    # A state of a run keeps the generators of torch alone.
    assert others == (random.getstate(), np.random.get_state()[1].tobytes())
    return folder, shown


@pytest.fixture(scope="session")
def make_config() -> Callable[..., StageConfig]:
    """Return a function that reads a recipe at minimal size, with changes."""

    def make(name: str, model: Path, *changes: str) -> StageConfig:
        path = recipe_file(name)
        plain = load_recipe(path)
        return load_recipe(path, [*(text for text in MINIMAL if accepts(plain, text)), f"model={model}", *changes])

    return make


class LineStage(SeededStage):
    """Fits a line to points: the smallest stage there is."""

    name = "line"

    def __init__(self, bad_step: int | None = None) -> None:
        self.layer = nn.Linear(2, 1)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.zero_()
        self.modules = {"layer": self.layer}
        self.bad_step = bad_step
        self.calls: list[tuple[int, float]] = []
        self.exported: torch.Tensor | None = None
        self.before_step: Callable[[int], None] | None = None

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        return [ParameterGroup("layer", list(self.layer.parameters()))]

    def losses(self, step: int, progress: float, /) -> Iterator[dict[str, torch.Tensor]]:
        assert self.layer.training
        if self.before_step:
            self.before_step(step)
        self.calls.append((step, progress))
        points = torch.rand(8, 2, generator=step_generator(0, step))
        error = self.layer(points)[:, 0] - (2 * points[:, 0] - points[:, 1] + 0.5)
        loss = error.square().mean()
        yield {"loss": loss * float("nan") if step == self.bad_step else loss}

    def validate(self) -> dict[str, float]:
        assert not self.layer.training
        assert not torch.is_grad_enabled()
        return {"slope": float(self.layer.weight[0, 0])}

    def export(self) -> None:
        self.exported = self.layer.weight.detach().clone()


@pytest.fixture
def make_line_trainer(tmp_path) -> Callable[..., Trainer]:
    """Return a function that makes a trainer of the line, by default 20 steps in the same folder."""

    def make(folder: str = "line", bad_step: int | None = None, lr: float = 0.1, on_progress=None, **run) -> Trainer:
        settings = {"max_steps": 20, "batch_size": 8, "device": "cpu", "log_every": 1, "ema_decay": 0.9} | run
        optimizer = OptimizerConfig(lr=lr, warmup_steps=3)
        return Trainer(LineStage(bad_step), RunConfig(**settings), optimizer, tmp_path / folder, on_progress)

    return make
