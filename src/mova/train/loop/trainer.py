"""The training loop and nothing else: steps, schedule, average of the weights, checkpoints, log."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from mova.distributed.fsdp import all_reduce_gradients, local
from mova.distributed.mesh import ALONE, Parallel
from mova.errors import CheckpointError, ConfigError, Interrupted, NumericalError
from mova.files.json_file import as_fields
from mova.train.config import OptimizerConfig, RunConfig
from mova.train.loop.average import WeightAverage
from mova.train.loop.checkpoint import list_states, newest_state, save_state
from mova.train.loop.compute import KEY as COMPUTE
from mova.train.loop.compute import record
from mova.train.loop.interrupt import Interrupts
from mova.train.loop.kernels import KEY as KERNELS
from mova.train.loop.kernels import RunKernels
from mova.train.loop.metrics import Metrics
from mova.train.loop.optimizer import OptimizerSet, ParameterGroup, lr_factor
from mova.train.loop.state import TrainingState

logger = logging.getLogger(__name__)


class Stage(Protocol):
    """What is trained: modules, a loss for each step, a validation, and the weights that leave it."""

    name: str
    modules: Mapping[str, nn.Module]

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return what is trained and at which multiples of the base rate."""

    def losses(self, step: int, progress: float, /) -> Iterable[dict[str, torch.Tensor]]:
        """Yield {"loss": ..., parts for the log} of one micro-batch after the other (gradient accumulation); they add
        up to the step's.

        Every random draw follows from the seed and `step`. The next micro-batch is not computed before the gradients of
        the last one are.

        Args:
            step: optimiser steps done before this one.
            progress: share of the run that is done, in [0, 1].
        """

    def samples(self, step: int, /) -> Sequence[str]:
        """Return the names of what a step learns from, for messages."""

    def position(self, step: int, /) -> Mapping[str, object]:
        """Return where in its data a run stands after so many steps, as JSON values that `resume_at` understands."""

    def resume_at(self, position: Mapping[str, object], /) -> None:
        """Check that the data is what a saved run learned from.

        Raises:
            DataError: it is not.
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
        minutes: minutes of training so far.
        values: losses and other figures.
        samples_per_second: since the last report, over all processes; 0 where nothing is counted.
    """

    stage: str
    step: int
    total: int
    minutes: float
    values: Mapping[str, float]
    samples_per_second: float = 0.0


OnProgress = Callable[[Progress], None]
# Makes clips at a validation: given the step, a folder, and what to call between two pieces of work, because it ends
# them (KeyboardInterrupt) where all processes are to stop. Returns figures of the clips.
SampleClips = Callable[[int, Path, Callable[[], object]], dict[str, float]]


class Trainer:
    """Runs one stage to its end, from the newest checkpoint in its folder if there is one.

    Args:
        stage: what to train.
        run: length, intervals, average.
        optimizer: rule and schedule.
        folder: folder of this stage's checkpoints and log.
        on_progress: called at every logged step.
        parallel: this process among the others; only rank 0 writes logs and reports.
        sample: makes clips at a validation; every process calls it.

    Raises:
        MissingExtraError: a sink of the recipe is not installed.
    """

    def __init__(
        self,
        stage: Stage,
        run: RunConfig,
        optimizer: OptimizerConfig,
        folder: Path,
        on_progress: OnProgress | None = None,
        parallel: Parallel = ALONE,
        sample: SampleClips | None = None,
    ) -> None:
        self.stage, self.run_config, self.optimizer_config, self.folder = stage, run, optimizer, folder
        self.device = choose_device(run.device)
        self.optimizer = OptimizerSet(stage.parameter_groups(), optimizer)
        self.average = WeightAverage(self.optimizer.parameters, run.ema_decay) if run.ema_decay else None
        self.parallel = parallel
        self.log = Metrics.open(folder, run.sinks, stage.name, enabled=parallel.is_main)
        self.on_progress = on_progress if parallel.is_main else None
        self.state = TrainingState(
            stage.modules,
            self.optimizer.optimizers,
            self.average.shadow if self.average else (),
            self.average.parameters if self.average else (),
            parallel,
        )
        self.kernels = RunKernels(run.kernels, stage.modules.values(), self.device, parallel)
        self.sample = sample
        self.interrupts = Interrupts(several=parallel.mesh is not None)
        self.step = 0
        self.trained_s = 0.0
        # The first step of which the loss was not finite, kept on the device: looking at it waits for the device.
        self._bad_step = torch.full((), -1.0, device=self.device)
        self._reported = (0, 0.0)

    def run(self) -> dict[str, float]:
        """Train to the end, validate, export.

        Returns:
            The last figures of the validation.

        Raises:
            NumericalError: a loss, a gradient or a weight is not finite; such a state is never saved.
            CheckpointError: the newest state is damaged, or belongs to another model.
            Interrupted: Ctrl-C, SIGTERM or SIGHUP, after the state has been saved. Several processes agree on it at the
                end of a step, whichever of them was asked.
        """
        with self.interrupts:
            self._resume()
            try:
                self._train()
                figures = self._validate()
                self._save()
                # What arrived meanwhile: going on, this run only exports.
                self._agree()
            except KeyboardInterrupt:
                self._save_interrupted()
                raise
            finally:
                self.log.close()
            with self.averaged():
                self.stage.export()
            self._agree()
        return figures

    def _train(self) -> None:
        saved_at = time.monotonic()
        self._reported = (self.step, self.trained_s)
        while not self._finished():
            started = time.monotonic()
            progress = self._progress()
            parts = self._backward(progress)
            with self.interrupts.held():
                norm = self.optimizer.step(lr_factor(self.step, progress, self.optimizer_config))
                if self.average:
                    self.average.update(self.step)
                self.step += 1
            if self.step % self.run_config.log_every == 0:
                self._report(parts, norm)
            # Without a line for the log there is no wait for the device: the time of a step shows up a little later.
            self.trained_s += time.monotonic() - started
            due = self._agree(time.monotonic() - saved_at > self.run_config.checkpoint_every_s)
            if self.step % self.run_config.validate_every == 0 and not self._finished():
                self._validate()
            every = self.run_config.checkpoint_every
            if due or (every and self.step % every == 0):
                self._save()
                saved_at = time.monotonic()

    def _agree(self, due: bool = False) -> bool:
        """Settle in one exchange what processes may see differently; return whether a state is due.

        The clocks of several processes differ, so those of rank 0 count: its time of training, from which the
        schedule follows, and its time since the last state.

        Raises:
            Interrupted: one of several processes was asked to stop; all of them raise it, for the same signal.
        """
        is_main = self.parallel.is_main
        asked, is_due, self.trained_s = self.parallel.all_reduce_max(
            self.interrupts.asked, is_main and due, self.trained_s if is_main else 0.0
        )
        if asked and self.interrupts.several:
            self.interrupts.agree()
            raise Interrupted(int(asked))
        return bool(is_due)

    def _save_interrupted(self) -> None:
        """Save what a resumed run goes on from; whoever asks again meanwhile waits for it."""
        if self.interrupts.several and not self.interrupts.agreed:
            # Raised by something else, in one process: the others do not come to save with it.
            return
        with self.interrupts.held():
            self._save()
            if self.parallel.is_main:
                logger.warning("%s interrupted at step %d; the state is saved", self.stage.name, self.step)

    def _backward(self, progress: float) -> dict[str, torch.Tensor]:
        """Accumulate the gradients of all micro-batches; return the parts of the loss, added up."""
        parts: dict[str, torch.Tensor] = {}
        for micro in self.stage.losses(self.step, progress):
            micro["loss"].backward()  # type: ignore[no-untyped-call]
            for name, value in micro.items():
                parts[name] = parts[name] + value.detach() if name in parts else value.detach()
        all_reduce_gradients(self.optimizer.parameters, self.parallel)
        is_first = (self._bad_step < 0) & ~parts["loss"].isfinite()
        self._bad_step = torch.where(is_first, float(self.step), self._bad_step)
        return parts

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the modules for the time of the block."""
        if self.average is None:
            yield
            return
        with self.interrupts.held():
            self.average.swap()
        try:
            yield
        finally:
            with self.interrupts.held():
                self.average.swap()

    def _progress(self) -> float:
        share = self.step / self.run_config.max_steps
        if self.run_config.max_minutes:
            share = max(share, self.trained_s / 60 / self.run_config.max_minutes)
        return min(share, 1.0)

    def _finished(self) -> bool:
        return self._progress() >= 1.0

    def _report(self, parts: Mapping[str, torch.Tensor], norm: torch.Tensor) -> None:
        values = {name: float(self.parallel.sum_over_samples(value)) for name, value in parts.items()}
        values |= {"grad_norm": float(norm), "lr": self.optimizer.lr}
        if not all(math.isfinite(value) for value in values.values()):
            raise self._not_finite(str(values))
        minutes, progress = self.trained_s / 60, self._progress()
        self.log.write("train", step=self.step, minutes=minutes, progress=progress, **values)
        if self.on_progress:
            # With a limit in minutes the number of steps is not known: the rate so far tells it.
            total = max(self.step, round(self.step / progress))
            steps, seconds = self.step - self._reported[0], self.trained_s - self._reported[1]
            # The time of the step that reports is not known before its report.
            rate = steps * self.run_config.batch_size / seconds if seconds else 0.0
            self.on_progress(Progress(self.stage.name, self.step, total, minutes, values, rate))
        self._reported = (self.step, self.trained_s)

    def _not_finite(self, what: str) -> NumericalError:
        states = list_states(self.folder / "checkpoints")
        last = f"the last good state is {states[-1]}" if states else "no state has been saved yet"
        bad = int(self._bad_step)
        culprits = ""
        if bad >= 0:
            names = list(self.stage.samples(bad))
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            culprits = f"; the first such loss was at step {bad}, on {', '.join(names[:8])}{more}"
        return NumericalError(
            f"{self.stage.name} left the finite numbers by step {self.step}: {what}{culprits}; {last}"
        )

    def _validate(self) -> dict[str, float]:
        paused = time.monotonic()
        for module in self.stage.modules.values():
            module.eval()
        with self.averaged(), torch.no_grad():
            figures = self.stage.validate()
            if self.sample:
                figures |= self.sample(self.step, self.folder / "validation", self._agree)
        for module in self.stage.modules.values():
            module.train()
        seconds = time.monotonic() - paused
        self.log.write("validate", step=self.step, minutes=self.trained_s / 60, seconds=seconds, **figures)
        logger.info("%s step %d: %s", self.stage.name, self.step, {k: round(v, 4) for k, v in figures.items()})
        return figures

    def _save(self) -> None:
        is_bad = not all(bool(local(p).isfinite().all()) for p in self.optimizer.parameters)
        (any_bad,) = self.parallel.all_reduce_max(is_bad)
        if any_bad:
            # Between two lines of the log nothing else looks at the numbers.
            raise self._not_finite("weights")
        tensors, values = self.state.collect()
        values |= {"trained_s": self.trained_s, "position": dict(self.stage.position(self.step))}
        values |= {KERNELS: self.kernels.record(), COMPUTE: record(self.run_config, self.device)}
        save_state(
            self.folder / "checkpoints",
            self.step,
            tensors,
            values,
            keep=self.run_config.keep_checkpoints,
            parallel=self.parallel,
        )

    def _resume(self) -> None:
        stored = newest_state(self.folder / "checkpoints")
        if stored is None:
            self.kernels.begin()
            self.log.begin(0)
            return
        values = as_fields(stored.values, str(stored.path), error=CheckpointError)
        trained_s = values.number("trained_s", least=0)
        self.stage.resume_at(values.fields("position").values)
        try:
            self.state.restore(stored)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; remove {self.folder} to begin anew") from error
        self.kernels.resume(self.stage.name, values)
        self.step, self.trained_s = stored.step, trained_s
        self.log.begin(self.step)
        self.log.write("resume", step=self.step)
        logger.info("%s resumes at step %d", self.stage.name, self.step)


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
