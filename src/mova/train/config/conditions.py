"""The section of a recipe that says how often clips are learned with other frames known than the first, or one modality
held."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mova.data.known import FRAME_TASKS, FrameTask
from mova.recipe.base import Strict

Share = Annotated[float, Field(ge=0, le=1)]
HELD = ("video_held", "audio_held", "audio_only")


class ConditionsConfig(Strict):
    """Shares of the samples that are learned as tasks other than text and first frame to a clip; none by default.

    Text alone is `image_dropout` of the recipe. What is known of the frames, and which modality is held, are drawn
    apart: a sample may have both.
    """

    last_frame: Share = Field(default=0.0, description="The last frame is known, the first one is not.")
    first_and_last_frame: Share = Field(default=0.0, description="Both are known.")
    keyframes: Share = Field(default=0.0, description="One to four frames at random places are known, and no other.")
    prefix: Share = Field(
        default=0.0, description="The first frames are known: two latent frames of them to three quarters of the clip."
    )
    video_held: Share = Field(
        default=0.0,
        description="The video is clean, sigma and timestep 0, and has no loss: audio for a given video. A share of "
        "the samples of the low-noise expert's steps.",
    )
    audio_held: Share = Field(
        default=0.0, description="The audio is clean, sigma and timestep 0, and has no loss: video for a given audio."
    )
    audio_only: Share = Field(
        default=0.0,
        description="The video is noise alone, sigma 1, and has no loss. A share of the samples of the high-noise "
        "expert's steps.",
    )

    def frames(self) -> dict[FrameTask, float]:
        """Return the shares of the tasks that have one, in the order in which they are drawn."""
        shares: dict[FrameTask, float] = {task: getattr(self, task) for task in FRAME_TASKS}
        return {task: share for task, share in shares.items() if share}

    def check(self, image_dropout: float) -> None:
        """Refuse shares of one draw that come to more than 1.

        Args:
            image_dropout: share of the samples without a first frame.

        Raises:
            ValueError: the sum, and the nearest value of the largest share.
        """
        for shares in (
            {"image_dropout": image_dropout} | {f"conditions.{task}": share for task, share in self.frames().items()},
            {f"conditions.{name}": float(getattr(self, name)) for name in HELD},
        ):
            total = sum(shares.values())
            # Shares that are written with two digits do not always add up to the bit.
            if total > 1 + 1e-9:
                chosen = {name: share for name, share in shares.items() if share}
                largest = max(chosen, key=lambda name: chosen[name])
                nearest = max(0.0, chosen[largest] - (total - 1))
                names = ", ".join(chosen)
                raise ValueError(f"{names} must add up to at most 1, got {total:g}; nearest is {largest} {nearest:g}")
