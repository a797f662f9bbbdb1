"""How far a run is, as it tells whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        stage: its name.
        counts: what `done` and `total` count: "sources" or "clips".
        done: of them, those of earlier runs included.
        total: of them.
        clips: made or worked on by this run.
    """

    stage: str
    counts: str
    done: int
    total: int
    clips: int


OnProgress = Callable[[Progress], None]


class Meter:
    """Counts what a stage has done and tells of it.

    Args:
        stage: its name.
        counts: what is counted.
        total: of it.
        on_progress: is told.
    """

    def __init__(self, stage: str, counts: str, total: int, on_progress: OnProgress) -> None:
        self._stage, self._counts, self._total = stage, counts, total
        self._on_progress = on_progress
        self._done = self._clips = 0
        self._tell()

    def add(self, done: int, clips: int = 0) -> None:
        """Take what was done.

        Args:
            done: of what is counted.
            clips: of them by this run.
        """
        self._done += done
        self._clips += clips
        self._tell()

    def _tell(self) -> None:
        self._on_progress(Progress(self._stage, self._counts, self._done, self._total, self._clips))
