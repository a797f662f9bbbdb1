"""Guidance that ends by itself, once it has little left to say (after Castillo et al. 2023, "Adaptive Guidance").

Towards the end of a schedule the prediction without the text comes close to the one with it, and what guidance adds is
hardly worth another call. So the predictions of each guided step are compared, and once they agree the later steps take
the conditional prediction alone.

Compared are the clean latents that the predictions point to, not the velocities: at high noise these are alike because
the same noise outweighs everything else in them, and the very first steps, which decide what happens, would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from mova.diffusion.flow import clean_from_velocity
from mova.diffusion.guidance import CONDITIONAL, BranchMix
from mova.diffusion.loop_state import PartState
from mova.diffusion.schedule import PairedSchedule
from mova.types import LatentPair, Velocities

BroadcastFlag = Callable[[bool, torch.device], bool]
"""Called with what this process would do, and a device; returns what all processes do."""

_ALONE = BranchMix(branches=(CONDITIONAL,), video_weights=(1.0,), audio_weights=(1.0,))


class AdaptiveGuidance:
    """Decides during one run which of the planned branches are still worth a call.

    All branches of a step have to agree with the conditional one, in each modality that a later step would guide and in
    the least similar clip of those that are decided on together (`denoise` asks for each clip alone where it is given
    one function per clip); then guidance ends for them. The next expert begins guided again, because what one network
    hardly tells apart says nothing about another.

    Args:
        plan: expert and planned mix of each step.
        schedule: noise levels of the steps.
        tolerance: cosine distance (1 - similarity) of the clean latents below which predictions agree; 0 never ends
            guidance and compares nothing.
        broadcast_flag: gives every process the decision of rank 0 (`Parallel.broadcast_flag`); alone, its own.
    """

    def __init__(
        self,
        plan: Sequence[tuple[str, BranchMix]],
        schedule: PairedSchedule,
        tolerance: float,
        broadcast_flag: BroadcastFlag,
    ) -> None:
        self._plan, self._schedule, self._tolerance, self._broadcast_flag = plan, schedule, tolerance, broadcast_flag
        self._ended_for: str | None = None

    def mix(self, index: int) -> BranchMix:
        """Return the branches of a step: the planned ones, or the conditional one alone."""
        expert, planned = self._plan[index]
        return _ALONE if expert == self._ended_for else planned

    def compare(self, index: int, predictions: Sequence[Velocities], latents: LatentPair) -> None:
        """Look at what the branches of a step predicted, and end guidance if they agree.

        Args:
            index: index of the step.
            predictions: one per branch of `mix(index)`.
            latents: at the start of the step, float32.
        """
        judged = self._judged(index)
        branches = self.mix(index).branches
        if not any(judged) or len(branches) == 1 or CONDITIONAL not in branches:
            return
        reference = predictions[branches.index(CONDITIONAL)]
        sigmas = self._schedule.video_sigmas[index], self._schedule.audio_sigmas[index]
        # The conditional prediction is compared with itself as well: it is 0 away.
        distances = [
            _distance(getattr(latents, name), float(sigma), getattr(reference, name), getattr(other, name))
            for other in predictions
            for name, sigma, counts in zip(("video", "audio"), sigmas, judged, strict=True)
            if counts
        ]
        # NaN is no agreement: the loop finds it in the latents and says so.
        agrees = bool(torch.stack(distances).amax().item() < self._tolerance)
        if self._broadcast_flag(agrees, latents.video.device):
            self._ended_for = self._plan[index][0]

    def state(self) -> PartState:
        """Return for which expert guidance has ended."""
        return PartState({"ended_for": self._ended_for})

    def load_state(self, state: PartState) -> None:
        """Go on from a state."""
        ended = state.numbers["ended_for"]
        if ended not in (None, *(expert for expert, _ in self._plan)):
            raise ValueError(f"no expert {ended!r}")
        self._ended_for = ended

    def _judged(self, index: int) -> tuple[bool, bool]:
        """Say for video and audio whether a later step of the same expert is planned to guide it."""
        if self._tolerance == 0:
            return False, False
        expert = self._plan[index][0]
        later = [mix.guided for other, mix in self._plan[index + 1 :] if other == expert]
        return any(video for video, _ in later), any(audio for _, audio in later)


def _distance(noisy: torch.Tensor, sigma: float, velocity: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the cosine distance of the clean latents of two predictions, the largest among the clips of a batch."""
    level = noisy.new_full((1,), sigma)
    directions = []
    for predicted in (velocity, other):
        clean = clean_from_velocity(noisy, predicted.float(), level).flatten(1)
        directions.append(torch.nn.functional.normalize(clean, dim=1))
    # Half the squared chord is 1 - cosine without the rounding of a number near 1.
    return (directions[0] - directions[1]).square().sum(1).amax() / 2
