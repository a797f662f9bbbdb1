"""Requests to endpoints, counted over all processes of an evaluation."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mova.scorers.registry import ScorerSettings


@contextmanager
def shared_calls(settings: ScorerSettings) -> Iterator[ScorerSettings]:
    """Give settings by which all processes take their requests from one budget, also those that replace a crashed one.

    Args:
        settings: of the scorers; where they bound no requests they stay as they are.
    """
    chosen = settings.transcriber
    if chosen is None or chosen.most_calls is None:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="mova_calls_") as folder:
        yield replace(settings, transcriber=replace(chosen, budget=Path(folder)))
