"""Section `score` of a curation's recipe: which scorers look at every clip, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from mova.recipe.base import Strict
from mova.scorers.registry import SCORER_NAMES, make_scorers


class ScoreSection(Strict):
    """What is measured of each clip; what is made of it is said in `verdicts`."""

    scorers: tuple[str, ...] | None = Field(
        default=None, description=f"names of scorers; none takes all: {', '.join(SCORER_NAMES)}"
    )
    without: tuple[str, ...] = Field(default=(), description="names of scorers that are left out")
    weights: str = Field(
        default="",
        description="folder with weights that tools/fetch_scorers.py fetched; none takes the environment variable "
        "MOVA_SCORER_WEIGHTS, and where that is not set such scorers are skipped",
    )
    batch: int = Field(default=4, ge=1, le=32, description="clips that are held in memory at a time, 30 MB each")
    av_align_lines: Annotated[int, Field(ge=64, le=2160)] | None = Field(
        default=256,
        description="pixels of the shorter side at which AV-Align looks at motion; null takes those of the clip, as "
        "the published metric does, at seven times the cost and 600 MB",
    )
    text_rate: float = Field(
        default=1.0, ge=0.1, le=8.0, description="frames per second in which burned-in text is looked for"
    )

    @field_validator("scorers", "without")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        make_scorers(names)
        return names

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the scorers that are applied."""
        names = SCORER_NAMES if self.scorers is None else self.scorers
        return tuple(name for name in names if name not in self.without)
