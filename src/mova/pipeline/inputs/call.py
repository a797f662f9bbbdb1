"""What a call of the pipeline is given besides its sampling settings, as one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.control import Control
from mova.pipeline.loop.sampling import CALLBACK_INPUTS, StepCallback
from mova.pipeline.output import OutputType


@dataclass(frozen=True, kw_only=True, eq=False)
class CallInputs:
    """Texts, media and noise of a call, and how its result is handed over; the pipeline checks them.

    Attributes:
        prompt, negative_prompt: one text or several; a negative one of None is the model's.
        prompt_embeds, negative_prompt_embeds: (B, P, C) instead of texts.
        media: images, video and audio.
        noise: initial noise, or the seeds that it is drawn from.
        per_prompt: clips per prompt.
        batch_branches: evaluate guidance branches in one forward; None: where they are small or bring weights.
        output_type: form of the result, see `MovaPipelineOutput`.
        on_step_end: called after each step, see `StepCallback`.
        callback_inputs: what it is shown, of `CALLBACK_INPUTS`.
        clip_by_clip: compute each clip of a batch by itself: then it has the bits that it has alone. False takes one
            forward for all of them where nothing else forbids it, which is the same clip up to rounding.
        control: watches the run, stops it, keeps its state and goes on from it.
    """

    prompt: str | Sequence[str] | None = None
    negative_prompt: str | Sequence[str] | None = None
    prompt_embeds: torch.Tensor | None = None
    negative_prompt_embeds: torch.Tensor | None = None
    media: GivenMedia = field(default_factory=GivenMedia)
    noise: GivenNoise = field(default_factory=GivenNoise)
    per_prompt: int = 1
    batch_branches: bool | None = None
    output_type: OutputType = "pil"
    on_step_end: StepCallback | None = None
    callback_inputs: Sequence[str] = CALLBACK_INPUTS
    clip_by_clip: bool = False
    control: Control | None = None
