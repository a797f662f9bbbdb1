"""Where the figures of a run go: one JSON line per event, always; TensorBoard and Weights & Biases where asked for."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from mova.errors import ConfigError, MissingExtraError


class Sink(Protocol):
    """One place that figures go to."""

    def write(self, event: str, **values: object) -> None:
        """Take the figures of one event; numbers besides `step` are drawn or listed."""

    def begin(self, step: int) -> None:
        """Learn that the run begins, or goes on, after so many steps: what was written of later ones counts no more."""

    def close(self) -> None:
        """Send what is left."""


class Metrics:
    """All places of a run behind one call.

    Args:
        sinks: in the order in which they are written.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)

    @classmethod
    def open(cls, folder: Path, names: Sequence[str], run_name: str, *, enabled: bool = True) -> Metrics:
        """Open `folder/log.jsonl` and the named sinks; a run that goes on appends to them.

        Args:
            folder: folder of the run's stage.
            names: "tensorboard", "wandb".
            run_name: what the run is called there.
            enabled: false on all processes but rank 0: nothing is opened or written.

        Raises:
            MissingExtraError: a sink's package is not installed.
            ConfigError: no such sink.
        """
        if not enabled:
            return cls(())
        makers: dict[str, Callable[[Path, str], Sink]] = {"tensorboard": _TensorBoard, "wandb": _WeightsAndBiases}
        unknown = [name for name in names if name not in makers]
        if unknown:
            raise ConfigError(f"a sink must be one of {', '.join(makers)}, got {unknown[0]!r}")
        return cls([JsonlLog(folder / "log.jsonl"), *(makers[name](folder, run_name) for name in names)])

    def begin(self, step: int) -> None:
        """Say everywhere after how many steps the run begins or goes on; before the first event."""
        for sink in self.sinks:
            sink.begin(step)

    def write(self, event: str, **values: object) -> None:
        """Send one event everywhere."""
        for sink in self.sinks:
            sink.write(event, **values)

    def close(self) -> None:
        """Close all of them."""
        for sink in self.sinks:
            sink.close()


class JsonlLog:
    """Appends `{"event", "time", "step", ...}` lines to a file; safe to reopen after an interruption."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, event: str, **values: object) -> None:
        """Append one line; numbers keep four significant digits."""
        line = {"event": event, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        line |= {key: _short(value) for key, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def begin(self, _step: int) -> None:
        """Lines stay: one of the event "resume" tells that steps after it may have been there before."""

    def close(self) -> None:
        """Nothing is kept open."""


class _TensorBoard:
    def __init__(self, folder: Path, _run_name: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise MissingExtraError("tensorboard", "tensorboard") from error
        self._open: Callable[..., Any] = SummaryWriter
        self._folder = folder
        self._writer: Any = None
        self._validated: set[int] = set()

    def begin(self, step: int) -> None:
        # TensorBoard leaves out what earlier files have of these steps; those before were written for good.
        self._writer = self._open(str(self._folder / "tensorboard"), purge_step=step + 1)
        # A run that ended between its last state and its last line validates once more, at the same step.
        self._validated = {step} if _has_validated(self._folder / "log.jsonl", step) else set()

    def write(self, event: str, **values: Any) -> None:
        if self._writer is None:
            self._writer = self._open(str(self._folder / "tensorboard"))
        step = values.pop("step", None)
        if event == "validate" and step in self._validated:
            return
        for name, value in _numbers(values).items():
            self._writer.add_scalar(f"{event}/{name}", value, step)
        # What is not on disk when the process is killed would be missing: those steps are not done again.
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _WeightsAndBiases:
    def __init__(self, folder: Path, run_name: str) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise MissingExtraError("wandb", "wandb") from error
        # One run however often the training is taken up again.
        identity = folder / "wandb_id.txt"
        if not identity.exists():
            folder.mkdir(parents=True, exist_ok=True)
            identity.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
        self._run = wandb.init(
            dir=str(folder), project="mova", name=run_name, id=identity.read_text(encoding="utf-8"), resume="allow"
        )

    def begin(self, _step: int) -> None:
        """The service takes no step twice."""

    def write(self, event: str, **values: Any) -> None:
        step = values.pop("step", None)
        self._run.log({f"{event}/{name}": value for name, value in _numbers(values).items()}, step=step)

    def close(self) -> None:
        self._run.finish()


def _has_validated(log: Path, step: int) -> bool:
    """Whether a log has the validation of a step."""
    if not log.is_file():
        return False
    found = False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        # A line may have been cut off by a crash.
        with contextlib.suppress(ValueError, AttributeError):
            event = json.loads(line)
            found |= event.get("event") == "validate" and event.get("step") == step
    return found


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
