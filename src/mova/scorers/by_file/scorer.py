"""What scorers that read files of weights have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from mova.scorers.base import Findings, Measure, Needs, score_each
from mova.scorers.clip_media import ClipMedia


class FileScorer(ABC):
    """A scorer that looks at one clip after the other with files of a folder.

    Args:
        folder: with the files; None where there is none, and then no clip has a value.
    """

    name: str
    measures: tuple[Measure, ...]
    needs: Needs

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the findings of each clip; what cannot be found has a reason."""
        return score_each(self, clips, self._look)

    def _look(self, clip: ClipMedia) -> Findings:
        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        return self.find(clip, self._folder)

    @abstractmethod
    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """Return the findings of a clip; any error is taken for their absence.

        Args:
            clip: to look at.
            folder: with the files.
        """
