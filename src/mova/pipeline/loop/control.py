"""Control of a run from outside: watch its steps, stop it between two of them, keep its state and go on from it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import torch

from mova.diffusion.loop_state import LoopState, Resuming, SamplingStep
from mova.distributed.mesh import Parallel
from mova.errors import ConfigError, StateError, StoppedError
from mova.pipeline.loop.state_file import read_state, write_state
from mova.settings.seeds import whole_number

__all__ = ["Control", "ControlledRun", "SamplingStep"]

logger = logging.getLogger(__name__)
_MOST_STEPS: Final = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Control:
    """What somebody outside wants of a run. Nothing of it costs anything where it is not given.

    With several processes that of rank 0 counts, and is called there; the others give one with the same fields.

    Attributes:
        on_step: shown every step when it is done; `SamplingStep.clean` are the latents to make a preview of.
        is_stopped: asked before each step; True ends the run with a `StoppedError`.
        resume_from: bytes that `save_state` was given by a run of the same settings, prompts, seeds, inputs and model.
            Where they are damaged, the run starts anew, and `on_note` is told.
        save_state: given the state of the run every `every` steps, and where it is stopped.
        every: steps between two states, 1 or more.
        most_bytes: of a state; a larger one (a step cache keeps what every block of a large model added) is not kept,
            and `on_note` is told once.
        on_note: told in words what became of `resume_from`, and of states.
        about: further facts that make it another run when they differ, as JSON values.

    Raises:
        ConfigError: a field of another kind, or `every` out of range.
    """

    on_step: Callable[[SamplingStep], None] | None = None
    is_stopped: Callable[[], bool] | None = None
    resume_from: bytes | None = None
    save_state: Callable[[bytes], None] | None = None
    every: int = 5
    most_bytes: int = 2**31
    on_note: Callable[[str], None] = logger.warning
    about: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("on_step", "is_stopped", "save_state", "on_note"):
            value = getattr(self, name)
            if not (value is None and name != "on_note") and not callable(value):
                raise ConfigError(f"{name} of a control must be a function, got {type(value).__name__}")
        if not isinstance(self.resume_from, bytes | None):
            raise ConfigError(f"resume_from of a control must be bytes, got {type(self.resume_from).__name__}")
        whole_number("every", self.every, 1, _MOST_STEPS)
        whole_number("most_bytes", self.most_bytes, 0, 2**50)

    @property
    def needs_identity(self) -> bool:
        """Whether the run must be told apart from others."""
        return self.resume_from is not None or self.save_state is not None


class ControlledRun:
    """One run under a control.

    Args:
        control: what is wanted.
        identity: digests of what the run depends on; empty where no state is kept.
        parallel: this process among those that generate together.

    Attributes:
        start: the state to go on from, the same on every process; None begins at the first step.

    Raises:
        StateError: a state of another run.
    """

    def __init__(self, control: Control, identity: Mapping[str, str], parallel: Parallel) -> None:
        self._control, self._identity, self._parallel = control, identity, parallel
        self._done, self._is_stopped, self._is_told = 0, False, False
        self.start: LoopState | None = None
        if control.resume_from is not None:
            self.start = parallel.broadcast(self._read)
            self._done = 0 if self.start is None else self.start.done

    @property
    def first(self) -> int:
        """Index of the first step."""
        return 0 if self.start is None else self.start.done

    def resuming(self) -> Resuming | None:
        """Return what the loop is to keep, and where it begins; None for nothing."""
        control = self._control
        if self.start is None and control.save_state is None:
            return None
        # On every process: what a state is made of waits for the device, and processes must not part.
        on_state = None if control.save_state is None else self._save
        return Resuming(start=self.start, on_state=on_state, every=control.every)

    def watch(self, step: SamplingStep) -> None:
        """Note a step, and show it."""
        self._done = step.done
        if self._control.on_step is not None and self._parallel.is_main:
            self._control.on_step(step)

    def is_stopped(self, device: torch.device) -> bool:
        """Say whether rank 0 wants the run to end before its next step."""
        asked = self._control.is_stopped
        if asked is not None and not self._is_stopped:
            own = bool(asked()) if self._parallel.is_main else False
            self._is_stopped = self._parallel.broadcast_flag(own, device)
        return self._is_stopped

    def check_stopped(self, total: int) -> None:
        """End a run that was stopped.

        Raises:
            StoppedError: it was.
        """
        if self._is_stopped:
            raise StoppedError(self._done, total)

    def _read(self) -> LoopState | None:
        assert self._control.resume_from is not None, "there is something to go on from"
        try:
            state, identity = read_state(self._control.resume_from)
        except StateError as error:
            self._control.on_note(f"{error}; the run starts anew")
            return None
        own = self._identity
        other = sorted(name for name in {**own, **identity} if own.get(name) != identity.get(name))
        if other:
            raise StateError(
                f"resume_from must be a state of this run, got one of a run that differs in {', '.join(other)}; leave "
                "it out to start anew"
            )
        return state

    def _save(self, state: LoopState) -> None:
        control = self._control
        if not self._parallel.is_main or control.save_state is None:
            return
        needed = state.num_bytes()
        if needed <= control.most_bytes:
            control.save_state(write_state(state, self._identity))
        elif not self._is_told:
            self._is_told = True
            control.on_note(
                f"a state of this run takes {needed / 1e9:.2f} GB, of at most {control.most_bytes / 1e9:.2f} GB: none "
                "is kept, and the run would start anew (step_cache=0 makes states small)"
            )
