"""The recipe of a distillation to few steps."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from mova.recipe.base import MOST_SCALE
from mova.train.config.joint import AdapterStageConfig

# What the noise levels of a distillation leave no choice in: they are those of the schedule, the same place for both
# modalities, and the expert follows from them. The bridge is always there, as at sampling.
_SETTLED: Final = (
    "expert_cycle",
    "independent_timesteps",
    "bridge_dropout",
    "conditions",
    "distribution",
    "weighting",
    "min_snr_gamma",
)


class DistillConfig(AdapterStageConfig):
    """Adapters with which a model needs few steps and no guidance; see `mova.train.stages.distill`.

    Clips at validations are made with `steps` and without guidance, whatever `validation` says of them.
    """

    stage: Literal["distill"]
    steps: int = Field(4, ge=1, le=1000, description="Phases of the schedule: steps of the student.")
    teacher_steps: int = Field(
        20, ge=2, le=10_000, description="Steps of the teacher's whole schedule; a multiple of `steps`."
    )
    target: Literal["teacher", "consistency"] = Field(
        "teacher",
        description="What the student must meet at the end of a phase. teacher: where the teacher's steps from the "
        "phase's first noise level lead. consistency: one step of the teacher from any level of the phase, then the "
        "student's own jump, without gradient.",
    )
    guidance_scale: float = Field(
        2.0, ge=1, le=MOST_SCALE, description="Classifier-free guidance scale of the teacher, which the student learns."
    )
    modality_scale: float = Field(
        1.0, ge=0, le=MOST_SCALE, description="Cross-modal (bridge) guidance scale of the teacher."
    )
    video_weight: float = Field(1.0, ge=0, le=MOST_SCALE, description="Weight of the video loss.")
    audio_weight: float = Field(1.0, ge=0, le=MOST_SCALE, description="Weight of the audio loss.")
    huber: float = Field(
        0.0,
        ge=0,
        le=MOST_SCALE,
        description="c of the pseudo-Huber loss sqrt(error^2 + c^2) - c; 0 takes the squared error.",
    )
    max_parameters: int | None = Field(
        None, ge=1, description="Numbers in the file: the largest singular values of all adapters; all if not given."
    )
    output_dtype: Literal["float32", "bfloat16"] = Field("float32", description="Dtype of the written adapters.")
    text_dropout: float = Field(0.0, ge=0, lt=1, description="The student is asked with its text only.")

    @model_validator(mode="after")
    def _check_phases(self) -> Self:
        below = self.teacher_steps // self.steps * self.steps
        if self.teacher_steps != below or self.teacher_steps == self.steps:
            near = [count for count in (below, below + self.steps) if count > self.steps] or [2 * self.steps]
            raise ValueError(
                f"teacher_steps must be a multiple of steps ({self.steps}), twice or more, got {self.teacher_steps}; "
                f"nearest {'are' if len(near) > 1 else 'is'} {' and '.join(map(str, near))}"
            )
        fields = type(self).model_fields
        idle = [name for name in _SETTLED if getattr(self, name) != fields[name].default]
        if idle:
            raise ValueError(
                f"{', '.join(idle)} must be left out: a distillation takes its noise levels from the schedule, and the "
                "expert from them"
            )
        if not self.video_weight and not self.audio_weight:
            raise ValueError("video_weight or audio_weight must be above 0, got 0 for both; nearest is 1 and 1")
        return self
