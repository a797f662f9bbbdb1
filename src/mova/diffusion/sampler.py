"""Steps from one noise level to the next along the predicted velocity.

`euler` is the published sampler. `unipc` is a second-order multistep solver (`mova.diffusion.unipc`), one instance per
modality, each with its own exact sigmas: the same quality from fewer steps. Neither waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, get_args

import torch

from mova.diffusion.loop_state import PartState, Stateful
from mova.diffusion.schedule import PairedSchedule
from mova.diffusion.unipc import UniPC
from mova.errors import ConfigError
from mova.types import LatentPair, Velocities

SamplerName = Literal["euler", "unipc"]


class Sampler(Stateful, Protocol):
    """Moves a pair of latents through a schedule, step by step."""

    def step(self, index: int, latents: LatentPair, velocities: Velocities) -> LatentPair:
        """Return the latents after step `index`, given the velocities predicted at its start (both float32)."""
        ...

    def restart(self, index: int) -> None:
        """Forget earlier steps: the latents of step `index` are not what the last step returned."""
        ...


def make_sampler(name: SamplerName, schedule: PairedSchedule) -> Sampler:
    """Return the sampler of that name for one run.

    Raises:
        ConfigError: an unknown name, or a schedule that the sampler cannot follow.
    """
    if name == "euler":
        return EulerSampler(schedule)
    if name == "unipc":
        return UniPCSampler(schedule)
    raise ConfigError(f"sampler must be one of {get_args(SamplerName)}, got {name!r}")


class EulerSampler:
    """One straight step per interval. Keeps no history."""

    def __init__(self, schedule: PairedSchedule) -> None:
        self._video_steps = schedule.video_sigmas.double().diff().tolist()
        self._audio_steps = schedule.audio_sigmas.double().diff().tolist()

    def step(self, index: int, latents: LatentPair, velocities: Velocities) -> LatentPair:
        """See `Sampler`."""
        return LatentPair(
            video=_euler(latents.video, velocities.video, self._video_steps[index]),
            audio=_euler(latents.audio, velocities.audio, self._audio_steps[index]),
        )

    def restart(self, index: int) -> None:
        """Do nothing: no step depends on an earlier one."""

    def state(self) -> PartState:
        """Return nothing: no step depends on an earlier one."""
        return PartState()

    def load_state(self, state: PartState) -> None:
        """Do nothing."""


class UniPCSampler:
    """Second-order multistep predictor and corrector.

    The corrector replaces the latents that the last step returned, so latents changed from outside need `restart`.
    """

    def __init__(self, schedule: PairedSchedule) -> None:
        self._make_steppers = tuple(
            _unipc_maker(name, sigmas)
            for name, sigmas in (("video", schedule.video_sigmas), ("audio", schedule.audio_sigmas))
        )
        self.restart(0)

    def step(self, index: int, latents: LatentPair, velocities: Velocities) -> LatentPair:
        """See `Sampler`."""
        return LatentPair(
            video=_unipc(self._video, index, latents.video, velocities.video),
            audio=_unipc(self._audio, index, latents.audio, velocities.audio),
        )

    def restart(self, index: int) -> None:
        """See `Sampler`."""
        self._video, self._audio = (make(index) for make in self._make_steppers)

    def state(self) -> PartState:
        """Return the histories of both modalities, but of one that is held."""
        numbers: dict[str, object] = {}
        tensors: dict[str, torch.Tensor] = {}
        for name, stepper in self._steppers().items():
            own = stepper.state()
            numbers[name] = own.numbers
            tensors |= {f"{name}.{key}": tensor for key, tensor in own.tensors.items()}
        return PartState(numbers, tensors)

    def load_state(self, state: PartState) -> None:
        """Go on from a state."""
        for name, stepper in self._steppers().items():
            tensors = {
                key.removeprefix(f"{name}."): tensor
                for key, tensor in state.tensors.items()
                if key.startswith(f"{name}.")
            }
            stepper.load_state(PartState(state.numbers[name], tensors))

    def _steppers(self) -> dict[str, UniPC]:
        both = {"video": self._video, "audio": self._audio}
        return {name: stepper for name, stepper in both.items() if stepper is not None}


def _unipc_maker(name: str, sigmas: torch.Tensor) -> Callable[[int], UniPC | None]:
    """Return what makes a fresh solver that starts at a given step; it makes None where the modality is held clean."""
    if not sigmas.any():
        return lambda _: None
    if sigmas[-1] != 0 or (sigmas.diff() >= 0).any():
        raise ConfigError(
            f"sampler 'unipc' needs sigmas that fall strictly and end at 0, got {name} sigmas {sigmas.tolist()}; "
            "use 'euler' for this schedule"
        )

    levels = sigmas.double().tolist()
    return lambda index: UniPC(levels, index)


def _unipc(stepper: UniPC | None, index: int, latents: torch.Tensor, velocity: torch.Tensor) -> torch.Tensor:
    return latents if stepper is None else stepper.step(index, latents, velocity)


def _euler(latents: torch.Tensor, velocity: torch.Tensor, sigma_step: float) -> torch.Tensor:
    # A held modality is returned as it is, whatever was predicted for it.
    return latents + velocity * sigma_step if sigma_step else latents
