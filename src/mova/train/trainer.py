"""The training loop and nothing else: steps, schedule, average of the weights, checkpoints, log."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import nn

from mova.errors import CheckpointError, ConfigError, NumericalError
from mova.train.checkpoint import list_states, load_state, save_state
from mova.train.config import OptimizerConfig, RunConfig
from mova.train.metrics import JsonlLog
from mova.train.optimizer import OptimizerSet, ParameterGroup, lr_factor

logger = logging.getLogger(__name__)


class Stage(Protocol):
    """What is trained: modules, a loss for each step, a validation, and the weights that leave it."""

    name: str
    modules: Mapping[str, nn.Module]

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return what is trained and at which multiples of the base rate."""

    def losses(self, step: int, progress: float, /) -> Iterable[dict[str, torch.Tensor]]:
        """Yield {"loss": ..., parts for the log} of one micro-batch after the other; they add up to the step's.

        Every random draw follows from the seed and `step`. The next micro-batch is not computed before the gradients of
        the last one are.

        Args:
            step: optimiser steps done before this one.
            progress: share of the run that is done, in [0, 1].
        """

    def validate(self) -> dict[str, float]:
        """Return figures on held-out data, with the weights that are in the modules now."""

    def export(self) -> None:
        """Write the weights that are in the modules now as components of the model directory."""


@dataclass(frozen=True)
class Progress:
    """What a progress bar shows.

    Attributes:
        stage: name of the stage.
        step: steps done.
        total: steps in all; an estimate where the recipe limits the minutes.
        minutes: of training so far.
        values: losses and other figures.
    """

    stage: str
    step: int
    total: int
    minutes: float
    values: Mapping[str, float]


class Trainer:
    """Runs one stage to its end, from the newest checkpoint in its folder if there is one.

    Args:
        stage: what to train.
        run: length, intervals, average.
        optimizer: rule and schedule.
        folder: of this stage's checkpoints and log.
        on_progress: called at every logged step.
    """

    def __init__(
        self,
        stage: Stage,
        run: RunConfig,
        optimizer: OptimizerConfig,
        folder: Path,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.stage, self.run_config, self.optimizer_config, self.folder = stage, run, optimizer, folder
        self.device = choose_device(run.device)
        self.optimizer = OptimizerSet(stage.parameter_groups(), optimizer)
        self.average = WeightAverage(self.optimizer.parameters, run.ema_decay) if run.ema_decay else None
        self.log = JsonlLog(folder / "log.jsonl")
        self.on_progress = on_progress
        self.step = 0
        self.trained_s = 0.0

    def run(self) -> dict[str, float]:
        """Train to the end, validate, export.

        Returns:
            The last figures of the validation.

        Raises:
            NumericalError: a loss, a gradient or a weight is not finite; such a state is never saved.
            CheckpointError: the newest state is damaged, or belongs to another model.
            KeyboardInterrupt: after the state has been saved.
        """
        self._resume()
        try:
            self._train()
            figures = self._validate()
        except KeyboardInterrupt:
            self._save()
            logger.warning("%s interrupted at step %d; the state is saved", self.stage.name, self.step)
            raise
        self._save()
        with self.averaged():
            self.stage.export()
        return figures

    def _train(self) -> None:
        saved_at = time.monotonic()
        while not self._finished():
            started = time.monotonic()
            progress = self._progress()
            parts = self._backward(progress)
            with _interrupts_held():
                norm = self.optimizer.step(lr_factor(self.step, progress, self.optimizer_config))
                if self.average:
                    self.average.update(self.step)
                self.step += 1
            if self.step % self.run_config.log_every == 0:
                self._report(parts, norm)
            # Without a line for the log there is no wait for the device: the time of a step shows up a little later.
            self.trained_s += time.monotonic() - started
            if self.step % self.run_config.validate_every == 0 and not self._finished():
                self._validate()
            if time.monotonic() - saved_at > self.run_config.checkpoint_every_s:
                self._save()
                saved_at = time.monotonic()

    def _backward(self, progress: float) -> dict[str, torch.Tensor]:
        """Gather the gradients of all micro-batches; return their parts, added up."""
        parts: dict[str, torch.Tensor] = {}
        for micro in self.stage.losses(self.step, progress):
            micro["loss"].backward()  # type: ignore[no-untyped-call]
            for name, value in micro.items():
                parts[name] = parts[name] + value.detach() if name in parts else value.detach()
        return parts

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the modules for the time of the block."""
        if self.average is None:
            yield
            return
        with _interrupts_held():
            self.average.swap()
        try:
            yield
        finally:
            with _interrupts_held():
                self.average.swap()

    def _progress(self) -> float:
        share = self.step / self.run_config.max_steps
        if self.run_config.max_minutes:
            share = max(share, self.trained_s / 60 / self.run_config.max_minutes)
        return min(share, 1.0)

    def _finished(self) -> bool:
        return self._progress() >= 1.0

    def _report(self, parts: Mapping[str, torch.Tensor], norm: torch.Tensor) -> None:
        values = {name: float(value.detach()) for name, value in parts.items()} | {"grad_norm": float(norm)}
        if not all(math.isfinite(value) for value in values.values()):
            raise self._not_finite(str(values))
        minutes, progress = self.trained_s / 60, self._progress()
        self.log.write("train", step=self.step, minutes=minutes, progress=progress, **values)
        if self.on_progress:
            # With a limit in minutes the number of steps is not known: the rate so far tells it.
            total = max(self.step, round(self.step / progress))
            self.on_progress(Progress(self.stage.name, self.step, total, minutes, values))

    def _not_finite(self, what: str) -> NumericalError:
        states = list_states(self.folder / "checkpoints")
        last = f"the last good state is {states[-1]}" if states else "no state has been saved yet"
        return NumericalError(f"{self.stage.name} left the finite numbers by step {self.step}: {what}; {last}")

    def _validate(self) -> dict[str, float]:
        paused = time.monotonic()
        for module in self.stage.modules.values():
            module.eval()
        with self.averaged(), torch.no_grad():
            figures = self.stage.validate()
        for module in self.stage.modules.values():
            module.train()
        seconds = time.monotonic() - paused
        self.log.write("validate", step=self.step, minutes=self.trained_s / 60, seconds=seconds, **figures)
        logger.info("%s step %d: %s", self.stage.name, self.step, {k: round(v, 4) for k, v in figures.items()})
        return figures

    def _save(self) -> None:
        if not all(bool(p.isfinite().all()) for p in self.optimizer.parameters):
            # Between two lines of the log nothing else looks at the numbers.
            raise self._not_finite("weights")
        state: dict[str, Any] = {
            "step": self.step,
            "trained_s": self.trained_s,
            "modules": {name: module.state_dict() for name, module in self.stage.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else None,
        }
        save_state(self.folder / "checkpoints", self.step, state, self.run_config.keep_checkpoints)

    def _resume(self) -> None:
        state = load_state(self.folder / "checkpoints", self.device)
        if state is None:
            return
        try:
            for name, module in self.stage.modules.items():
                module.load_state_dict(state["modules"][name])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average:
                # A run that had no average until now begins it with the weights.
                self.average.load_state_dict(state["average"] or self.average.parameters)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the states in {self.folder / 'checkpoints'} belong to another model or optimiser ({error}); "
                f"remove {self.folder} to begin anew"
            ) from error
        self.step, self.trained_s = state["step"], state["trained_s"]
        self.log.write("resume", step=self.step)
        logger.info("%s resumes at step %d", self.stage.name, self.step)


class WeightAverage:
    """Exponential moving average with a ramp: decay at step n is min(decay, (1 + n) / (10 + n)).

    diffusers' EMAModel keeps a copy besides and copies thrice per swap; here the two sets trade places.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.parameters: list[torch.Tensor] = [p for p in parameters if p.requires_grad]
        self.decay = decay
        self.shadow = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.shadow, self.parameters, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averaged and current weights."""
        for parameter, shadow in zip(self.parameters, self.shadow, strict=True):
            current = parameter.detach().clone()
            parameter.copy_(shadow)
            shadow.copy_(current)

    def state_dict(self) -> list[torch.Tensor]:
        """Return the averaged weights."""
        return self.shadow

    @torch.no_grad()
    def load_state_dict(self, shadow: Sequence[torch.Tensor]) -> None:
        """Restore averaged weights."""
        for mine, theirs in zip(self.shadow, shadow, strict=True):
            mine.copy_(theirs)


def choose_device(name: str) -> torch.device:
    """Return the device that a recipe asks for; "auto" takes CUDA where there is one.

    Raises:
        ConfigError: CUDA is asked for and absent.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("run.device is cuda, but torch sees no CUDA device; use cpu or auto")
    return torch.device(name)


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return a CPU generator that depends on the run's seed and the step alone: resuming needs no saved state.

    It draws a step's choices: clips, crops, dropouts, noise levels.
    """
    return torch.Generator().manual_seed(_mixed_seed(seed, step))


def noise_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Return the generator of a step's noise, on the device that computes; it shares no number with the choices."""
    # An accelerator's generator is of another kind: there the same seed gives other numbers.
    stream = 104_729 if device.type == "cpu" else 0
    return torch.Generator(device=device).manual_seed(_mixed_seed(seed, step) + stream)


def _mixed_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step * 7_919 + 17) % (2**62)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let an interrupt (Ctrl-C) wait for the end of the block: half an update must not be saved."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
        if arrived and callable(former):
            former(*arrived[0])
