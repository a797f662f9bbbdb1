"""A recipe of curation: its sections, and how it is read from YAML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from mova.curate.config.caption import CaptionSection
from mova.curate.config.cut import CutSection
from mova.curate.config.export import ExportSection
from mova.curate.config.run import ExecutionSection, OutputSection
from mova.curate.config.score import ScoreSection
from mova.curate.config.source import SourceSection
from mova.curate.config.verdicts import VerdictsSection
from mova.recipe.base import Strict
from mova.recipe.load import Vocabulary, fields_of, load_checked

VERB: Final = "curate"


class CurateConfig(Strict):
    """From raw footage to captioned clips."""

    source: SourceSection = Field(description="Which footage there is.")
    output: OutputSection = Field(description="Where the run writes.")
    cut: CutSection = Field(
        default_factory=lambda: CutSection.model_validate({}), description="Stage 1: clips of one length."
    )
    score: ScoreSection = Field(default_factory=ScoreSection, description="Stage 2: what is measured of each clip.")
    verdicts: VerdictsSection = Field(default_factory=VerdictsSection, description="Stage 2: which clips are kept.")
    caption: CaptionSection = Field(default_factory=CaptionSection, description="Stage 3: captions of these.")
    export: ExportSection | None = Field(
        default=None, description="What is written for a training; nothing beside the tables if not given."
    )
    execution: ExecutionSection = Field(
        default_factory=lambda: ExecutionSection.model_validate({}), description="How the work is spread."
    )


def load_curation(recipe: str | Path, overrides: Sequence[str] = ()) -> CurateConfig:
    """Return a recipe with overrides applied; arguments and errors are those of `mova.recipe.load.load_checked`."""
    needs = "sections such as source and output"
    return load_checked(recipe, VERB, overrides, needs=needs, check=CurateConfig.model_validate, vocabulary=_VOCABULARY)


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    node: Any = CurateConfig
    for part in location[:-1]:
        node = fields_of(node).get(part) if isinstance(part, str) else node
    return sorted(fields_of(node))


_VOCABULARY: Final = Vocabulary(_fields_at)
