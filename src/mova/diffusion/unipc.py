"""UniPC of second order with its corrector (Zhao et al. 2023, arXiv 2302.04867), for flows.

The same method as diffusers' `UniPCMultistepScheduler` with `flow_prediction` and `bh2`, and the same results up to
rounding. Here all coefficients are numbers of the host, known from the schedule: a step is a sum of a few tensors, and
nothing waits for the device, where the scheduler moves its sigmas to the device and solves a system there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from mova.diffusion.loop_state import PartState

# A sigma of 1 is moved by this much, as in diffusers: half its logarithmic signal-to-noise ratio would be infinite.
_EPSILON = 1e-6


class UniPC:
    """Follows one modality from a given step on.

    The predictor goes to the next noise level with the clean latents predicted at this one and the one before. At the
    next step the corrector goes there once more, now also with those predicted there, and replaces the latents.

    Args:
        sigmas: noise levels, strictly falling and ending at 0; one more than steps.
        begin: index of the first step.
    """

    def __init__(self, sigmas: Sequence[float], begin: int = 0) -> None:
        self._sigmas = [min(sigma, 1 - _EPSILON) for sigma in sigmas]
        self._begin = begin
        self._order = 1
        # Predicted clean latents of the last two steps, the later one last.
        self._clean: list[torch.Tensor] = []
        self._last: torch.Tensor | None = None

    def step(self, index: int, latents: torch.Tensor, velocity: torch.Tensor) -> torch.Tensor:
        """Return the latents after step `index`, given the velocity predicted at its start (both float32)."""
        clean = latents - self._sigmas[index] * velocity
        if self._last is not None:
            latents = self._correct(index, clean)
        self._clean = [*self._clean[-1:], clean]
        steps_left = len(self._sigmas) - 1 - index
        self._order = min(2, steps_left, index - self._begin + 1)
        self._last = latents
        return self._predict(index)

    def state(self) -> PartState:
        """Return what later steps take from earlier ones."""
        history = {} if self._last is None else {"last": self._last}
        history |= {f"clean.{place}": tensor for place, tensor in enumerate(self._clean)}
        return PartState({"begin": self._begin, "order": self._order, "kept": len(self._clean)}, history)

    def load_state(self, state: PartState) -> None:
        """Go on from a state."""
        numbers, kept = state.numbers, state.tensors
        self._begin, self._order = int(numbers["begin"]), int(numbers["order"])
        self._clean = [kept[f"clean.{place}"] for place in range(int(numbers["kept"]))]
        self._last = kept["last"] if self._clean else None

    def _predict(self, index: int) -> torch.Tensor:
        assert self._last is not None, "a step keeps its latents"
        ratio, pull, _ = self._move(index)
        weights = [pull]
        if self._order == 2:
            slope = 0.5 * pull / self._distance(index)
            weights = [slope, pull - slope]
        return _sum([ratio, *weights], [self._last, *self._clean[-self._order :]])

    def _correct(self, index: int, clean: torch.Tensor) -> torch.Tensor:
        """Go from step `index - 1` to its end again, now that the clean latents there are predicted."""
        assert self._last is not None, "only later steps correct"
        ratio, pull, width = self._move(index - 1)
        if self._order == 1:
            weights = [0.5 * pull, 0.5 * pull]
        else:
            distance = self._distance(index - 1)
            # The first moments of the exponential weight over the interval; the system of equations has two unknowns.
            first = (math.expm1(-width) / -width - 1) / math.expm1(-width)
            second = 2 * ((math.expm1(-width) / -width - 1) / -width - 0.5) / math.expm1(-width)
            earlier = (first - second) / (1 - distance)
            later = first - earlier
            slope = pull * earlier / distance
            weights = [slope, pull - slope - pull * later, pull * later]
        return _sum([ratio, *weights], [self._last, *self._clean[-self._order :], clean])

    def _move(self, index: int) -> tuple[float, float, float]:
        """Return the weights of latents and of clean latents over a step, and its width in log signal to noise."""
        here, there = self._sigmas[index], self._sigmas[index + 1]
        width = _log_ratio(there) - _log_ratio(here)
        return there / here, -(1 - there) * math.expm1(-width), width

    def _distance(self, index: int) -> float:
        """Return where the step before began, in widths of this one: a negative number."""
        before, here, there = (_log_ratio(sigma) for sigma in self._sigmas[index - 1 : index + 2])
        return (before - here) / (there - here)


def _log_ratio(sigma: float) -> float:
    return math.inf if sigma == 0 else math.log1p(-sigma) - math.log(sigma)


def _sum(weights: Sequence[float], tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    total = weights[0] * tensors[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        total = torch.add(total, tensor, alpha=weight)
    return total
