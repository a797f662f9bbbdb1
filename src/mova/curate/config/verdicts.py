"""Section of a recipe that says which clips are kept: gates on scores, tags, text and repetition, and sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from mova.curate.score.duplicates import MOST_BITS
from mova.curate.score.neighbours import LEAST_COSINE
from mova.recipe.base import Strict

Quantile = Annotated[float, Field(ge=0, le=1)]
Bits = Annotated[int, Field(ge=0, le=MOST_BITS)]
Cosine = Annotated[float, Field(ge=LEAST_COSINE, le=1)]
_SUBJECTS: Final = ("score", "tags", "text", "near_duplicates", "any")
_BOUNDS: Final = ("above", "below", "min", "max", "min_quantile", "max_quantile")


class Gate(Strict):
    """One condition that a clip must meet, about one of: a score, tags, text, repetition, or a choice of conditions."""

    score: str | None = Field(default=None, max_length=100, description="Name of a measure; needs one or more bounds.")
    above: float | None = Field(default=None, description="The score must be more than this.")
    below: float | None = Field(default=None, description="The score must be less than this.")
    min: float | None = Field(default=None, description="The score must be at least this.")
    max: float | None = Field(default=None, description="The score must be at most this.")
    min_quantile: Quantile | None = Field(
        default=None, description="The score must be at least this quantile of all clips that were measured, 0 to 1."
    )
    max_quantile: Quantile | None = Field(
        default=None, description="The score must be at most this quantile of all clips that were measured, 0 to 1."
    )
    tags: tuple[str, ...] | None = Field(
        default=None, min_length=1, max_length=1000, description="Tags, as scorers give them."
    )
    rule: Literal["any", "all", "none"] = Field(
        default="any", description="With tags: the clip must have any of them, all of them, or none."
    )
    text: Literal["none", "any"] | None = Field(
        default=None, description="Burned-in text, by the score text_area: there must be none, or some."
    )
    near_duplicates: Bits | Annotated[Mapping[str, Cosine], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="A number: a clip is rejected whose hashes of video and of audio both differ in at most so many "
        f"bits of 64 from those of an earlier clip that is kept. Or names of embeddings, each with a cosine of "
        f"{LEAST_COSINE} to 1: a clip is rejected whose embeddings all reach these cosines with those of an earlier "
        "clip that is kept.",
    )
    any: tuple[Gate, ...] | None = Field(
        default=None, min_length=2, max_length=20, description="At least one of these conditions must be met."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        subjects = [name for name in _SUBJECTS if getattr(self, name) is not None]
        if len(subjects) != 1:
            given = " and ".join(subjects) or "none of them"
            raise ValueError(f"a gate must be about exactly one of {', '.join(_SUBJECTS)}, got {given}")
        bounds = [name for name in _BOUNDS if getattr(self, name) is not None]
        if self.score is not None and not bounds:
            raise ValueError(f"a gate on a score must have one of {', '.join(_BOUNDS)}, got none")
        if self._is_met_by_none:
            given = ", ".join(f"{name} {getattr(self, name):g}" for name in bounds)
            raise ValueError(f"a gate must have bounds that a score can meet, and none can meet {given}")
        if self.score is None and bounds:
            raise ValueError(f"only a gate on a score has bounds, got {bounds[0]} with {subjects[0]}")
        if self.tags is None and "rule" in self.model_fields_set:
            raise ValueError("only a gate on tags has a rule")
        if self.any is not None and [gate for gate in self.any if gate.near_duplicates is not None]:
            raise ValueError("near_duplicates must be a gate by itself, since it looks at what all others keep")
        return self

    @property
    def _is_met_by_none(self) -> bool:
        """Whether its bounds leave no number between them."""
        least = [value for value in (self.above, self.min) if value is not None]
        most = [value for value in (self.below, self.max) if value is not None]
        is_empty = bool(least and most) and max(least) >= min(most)
        if is_empty and max(least) == min(most):
            is_empty = max(least) in (self.above, self.below)
        if self.min_quantile is not None and self.max_quantile is not None:
            return is_empty or self.min_quantile > self.max_quantile
        return is_empty


class VerdictsSection(Strict):
    """Which clips are kept. Changing it needs no media: `mova curate verdicts RECIPE`."""

    preset: Literal["none", "paper", "quantiles"] = Field(
        default="paper",
        description="Gates to begin with: Table 9 of the paper, or thresholds that leave the best of this footage.",
    )
    gates: tuple[Gate, ...] = Field(default=(), max_length=200, description="Further conditions; a clip must meet all.")

    @property
    def all_gates(self) -> tuple[Gate, ...]:
        """The gates of the preset, then the recipe's own."""
        return (*_PRESETS[self.preset], *self.gates)


# Table 9. By weights that do not come with the package: all but the first two.
_PAPER: Final = (
    Gate(score="silence_share", below=0.8),
    Gate(score="bandwidth_hz", above=1000.0),
    Gate(score="audiobox_pq", above=5.0),
    Gate(score="audiobox_cu", above=4.5),
    Gate(score="audiobox_ce", above=2.5),
    Gate(score="dover_aesthetic", above=0.85),
    Gate(score="dover_technical", above=0.05),
    Gate(any=(Gate(score="imagebind", min=0.2), Gate(score="desync", max=0.5))),
)
# Our own, by what is measured without any weights: cut off what is worst of each, whatever the footage is.
_QUANTILES: Final = (
    Gate(score="silence_share", below=0.8),
    Gate(score="bandwidth_hz", min_quantile=0.05),
    Gate(score="clipping_share", max_quantile=0.98),
    Gate(score="black_share", max_quantile=0.98),
    Gate(score="freeze_share", max_quantile=0.95),
    Gate(score="blur", max_quantile=0.9),
    Gate(score="blockiness", max_quantile=0.9),
    Gate(score="motion", min_quantile=0.05),
    Gate(score="av_align", min_quantile=0.1),
    Gate(near_duplicates=4),
)
_PRESETS: Final = {"none": (), "paper": _PAPER, "quantiles": _QUANTILES}
