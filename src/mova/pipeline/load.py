"""A model's name or directory to a pipeline, for those who know what they want: `from_pretrained` guesses more."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from mova.pipeline.loading.model import LoadOptions, read_model
from mova.pipeline.pipeline import MovaPipeline


def load_pipeline(model: str | Path, **options: Unpack[LoadOptions]) -> MovaPipeline:
    """Load a model for generation; options, and errors, are those of `mova.pipeline.loading.model.read_model`."""
    pipeline: MovaPipeline = MovaPipeline.from_loaded(read_model(model, **options))
    return pipeline
