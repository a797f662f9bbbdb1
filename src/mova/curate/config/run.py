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

    executor: Literal["local", "ray"] = Field(
        "local", description="Where units are done: in processes of this machine, or on a Ray cluster."
    )
    workers: int = Field(
        0, ge=0, le=MOST_WORKERS, description="Units at a time; 0 takes one per core, or what the cluster has room for."
    )
    ray_address: str | None = Field(
        None,
        min_length=1,
        description="Address of a Ray cluster that runs, or auto for the one of this machine; without it RAY_ADDRESS, "
        "or a cluster that is started here and ends with the run.",
    )
    attempts: int = Field(
        3, ge=1, le=100, description="How often a unit is begun whose worker ends, and a source read that is not there."
    )
    retry_wait_s: float = Field(
        1.0, ge=0, le=600, description="Seconds before a source is read again; each further wait is twice as long."
    )
    retry_failed: bool = Field(False, description="Do again what failed in an earlier run.")
