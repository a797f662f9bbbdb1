"""A source of clips for tests that can be sent to other processes, which import nothing heavy for it."""

from __future__ import annotations

import os

from mova.data.sources.base import RawClip
from mova.data.sources.toy import ToySource
from mova.errors import ReadError


class BrokenSource(ToySource):
    """Toy clips of which some cannot be read, and one ends its process."""

    broken: tuple[int, ...] = ()
    deadly: int | None = None

    def load(self, index: int, start_s: float | None = None) -> RawClip:
        if index in self.broken:
            raise ReadError(f"clip {index} is broken")
        if index == self.deadly:
            os._exit(9)
        return super().load(index, start_s)
