"""What a stage says about its data when its samples follow from the seed and the step alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class SeededStage:
    """Base of stages that draw their samples anew at every step."""

    def samples(self, step: int, /) -> Sequence[str]:
        """Name a step's samples by what they are drawn from."""
        return [f"the samples drawn for step {step}"]

    def position(self, _step: int, /) -> Mapping[str, object]:
        """The step is the position."""
        return {}

    def resume_at(self, _position: Mapping[str, object], /) -> None:
        """Nothing can have changed but the recipe, which is compared apart."""
