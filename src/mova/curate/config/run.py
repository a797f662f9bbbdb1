"""Sections of a recipe that say where a run writes and how it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from mova.recipe.base import MOST_WORKERS, Strict


class OutputSection(Strict):
    """Where the run writes."""

    folder: Path = Field(description="Output folder; made where it is missing, gone on with where a run has begun.")


class ExecutionSection(Strict):
    """How the work is spread; nothing here changes a result."""

    executor: Literal["local"] = Field("local", description="Where units are done: in processes of this machine.")
    workers: int = Field(0, ge=0, le=MOST_WORKERS, description="Processes; 0 takes one per core.")
    attempts: int = Field(
        3, ge=1, le=100, description="How often a unit is begun whose worker ends, and a source read that is not there."
    )
    retry_wait_s: float = Field(
        1.0, ge=0, le=600, description="Seconds before a source is read again; each further wait is twice as long."
    )
    retry_failed: bool = Field(False, description="Do again what failed in an earlier run.")
