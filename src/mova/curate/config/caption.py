"""Section `caption` of a recipe: who writes captions, and how much of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mova.endpoints.settings import EndpointSection
from mova.recipe.base import Strict

ROLES = ("visual", "speech", "audio", "merge")


class VisualSection(EndpointSection):
    """The model that looks at the frames."""

    model: str = Field(
        default="XiaomiMiMo/MiMo-VL-7B-RL", min_length=1, max_length=300, description="Name of the model"
    )
    max_tokens: int = Field(default=4096, ge=1, le=131_072, description="Tokens of a reply at most, thoughts included")
    frames: int = Field(default=16, ge=1, le=128, description="Frames that are sent, spread evenly over the clip")
    short_side: int = Field(default=480, ge=64, le=1080, description="Pixels of a frame's shorter side; never enlarged")


class SpeechSection(EndpointSection):
    """The model that writes down what is said."""

    model: str = Field(
        default="Qwen/Qwen3-Omni-30B-A3B-Instruct", min_length=1, max_length=300, description="Name of the model"
    )


class AudioSection(EndpointSection):
    """The model that describes what is heard."""

    model: str = Field(
        default="Qwen/Qwen3-Omni-30B-A3B-Captioner", min_length=1, max_length=300, description="Name of the model"
    )
    max_tokens: int = Field(default=1024, ge=1, le=131_072, description="Tokens of a reply at most")
    request: str = Field(
        default="Describe this audio in detail.",
        max_length=2000,
        description="Sentence that is sent with the audio; empty for models that take audio alone",
    )


class MergeSection(EndpointSection):
    """The model that writes one caption of the three reports."""

    model: str = Field(default="openai/gpt-oss-120b", min_length=1, max_length=300, description="Name of the model")
    max_tokens: int = Field(default=4096, ge=1, le=131_072, description="Tokens of a reply at most, thoughts included")


class BudgetSection(Strict):
    """What the calls of a run may take, over all of its processes and after each resume."""

    calls: int | None = Field(default=None, ge=0, le=10**10, description="Requests at most, repeated ones included")
    tokens: int | None = Field(default=None, ge=0, le=10**13, description="Tokens of requests and replies at most")


class CaptionSection(Strict):
    """How captions are made."""

    captioner: Literal["offline", "endpoints"] = Field(
        default="offline", description="Who writes: rules over scores, tags and spans, or models behind endpoints"
    )
    most_chars: int | None = Field(
        default=None,
        ge=60,
        le=100_000,
        description="Characters of an offline caption at most, for models that read few; what matters least is left "
        "out first. Endpoints are told by max_tokens",
    )
    visual: VisualSection | None = Field(default=None, description="Endpoint that looks at the frames")
    speech: SpeechSection | None = Field(default=None, description="Endpoint that writes down what is said")
    audio: AudioSection | None = Field(default=None, description="Endpoint that describes what is heard")
    merge: MergeSection | None = Field(default=None, description="Endpoint that makes one caption of the reports")
    concurrency: int = Field(default=8, ge=1, le=1024, description="Calls that are under way at a time in one process")
    budget: BudgetSection = Field(default_factory=BudgetSection, description="What calls may take before the run ends")
    give_up_after: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Calls in a row without any reply, after which the run ends, to be resumed",
    )

    @model_validator(mode="after")
    def _fits(self) -> CaptionSection:
        missing = [role for role in ROLES if getattr(self, role) is None]
        if self.captioner == "endpoints" and missing:
            raise ValueError(
                f"captioner endpoints needs {', '.join(ROLES)}, each with its base_url; {', '.join(missing)} not given"
            )
        if self.captioner == "endpoints" and self.most_chars is not None:
            raise ValueError("most_chars is of the offline captioner; captions of endpoints are bounded by max_tokens")
        return self
