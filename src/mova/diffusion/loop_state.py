"""The state of a denoising loop between two steps: from it a run goes on as if it had never been interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mova.errors import StateError
from mova.types import LatentPair, Velocities


@dataclass(frozen=True, eq=False)
class PartState:
    """What one part of a loop (solver, guidance, cache) needs to go on.

    Attributes:
        numbers: JSON values.
        tensors: by name, none of which is changed in place later.
    """

    numbers: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Stateful(Protocol):
    """A part of a loop whose state can be taken and put back."""

    def state(self) -> PartState:
        """Return the state of this moment; later steps do not change it."""
        ...

    def load_state(self, state: PartState) -> None:
        """Go on from a state of a part of the same kind.

        Raises:
            KeyError, TypeError, ValueError: a state that is not of this part.
        """
        ...


@dataclass(frozen=True, eq=False)
class LoopState:
    """A run between two steps.

    Attributes:
        done: steps done.
        total: steps in all.
        latents: of both modalities, (B, ...) float32.
        parts: state of solver, guidance and further parts of the loop, by name.
    """

    done: int
    total: int
    latents: LatentPair
    parts: Mapping[str, PartState]

    def num_bytes(self) -> int:
        """Return the bytes of all tensors."""
        tensors = [tensor for part in self.parts.values() for tensor in part.tensors.values()]
        return sum(one.numel() * one.element_size() for one in (self.latents.video, self.latents.audio, *tensors))

    def to(self, device: torch.device | str) -> LoopState:
        """Return the state with its tensors on a device."""
        parts = {
            name: PartState(part.numbers, {key: tensor.to(device) for key, tensor in part.tensors.items()})
            for name, part in self.parts.items()
        }
        latents = LatentPair(self.latents.video.to(device), self.latents.audio.to(device))
        return LoopState(self.done, self.total, latents, parts)

    def load_into(self, parts: Mapping[str, Stateful], total: int, like: LatentPair) -> LatentPair:
        """Put the state back into the parts of a run.

        Args:
            parts: of the run, by name.
            total: steps of the run.
            like: latents that the run would start from.

        Returns:
            The latents to go on from, on the device of `like`.

        Raises:
            StateError: a state of another run.
        """
        here = self.to(like.video.device)
        own, wanted = (
            (count, tuple(latents.video.shape), tuple(latents.audio.shape))
            for count, latents in ((self.total, self.latents), (total, like))
        )
        if own != wanted or not 0 < self.done < total or set(parts) != set(self.parts):
            raise StateError(
                f"a run of {total} steps with latents {wanted[1:]} cannot go on from step {self.done} of {self.total} "
                f"with latents {own[1:]}; start it anew"
            )
        for name, part in parts.items():
            try:
                part.load_state(here.parts[name])
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise StateError(f"the state of the {name} is not of this run ({error}); start it anew") from error
        return here.latents


@dataclass(frozen=True, kw_only=True, eq=False)
class Resuming:
    """How a run is made resumable.

    Attributes:
        start: where to go on; None begins at the first step.
        on_state: given the state of the run; must not change its tensors.
        every: steps between two states, counted from the beginning; there is none after the last step, but one where
            the run is stopped.
        parts: further parts of the loop that have a state.
    """

    start: LoopState | None = None
    on_state: Callable[[LoopState], None] | None = None
    every: int = 1
    parts: Mapping[str, Stateful] = field(default_factory=dict)

    def is_due(self, done: int, total: int) -> bool:
        """Say whether a state is wanted after so many steps."""
        return self.on_state is not None and done < total and done % self.every == 0


@dataclass(frozen=True, eq=False)
class SamplingStep:
    """A step that has been done, for those who watch.

    Attributes:
        done: steps done, this one included.
        total: steps in all.
        latents: after the step: noisy until the last one.
        before: at the start of the step.
        velocities: predicted there, guided.
        video_sigma, audio_sigma: noise levels at the start of the step; 0 where a modality is held clean.
    """

    done: int
    total: int
    latents: LatentPair
    before: LatentPair
    velocities: Velocities
    video_sigma: float
    audio_sigma: float

    def clean(self) -> LatentPair:
        """Return the latents that the model expects at the end, as it sees it at this step; (B, ...) float32."""
        return LatentPair(
            video=self.before.video - self.video_sigma * self.velocities.video.float(),
            audio=self.before.audio - self.audio_sigma * self.velocities.audio.float(),
        )
