"""Black borders: what of a video's frames never shows anything, measured on frames spread over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mova.media.render import ONE_THREAD

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mova.media.transcode.canvas import Box

# Of 255. A border's noise stays below it in the mean of a block, a small light in an otherwise dark row does not.
_DARK = 14
_BLOCK = 16
# What is left of a side is never less than this part of it: more black than that is a dark video, not a border.
_LEAST_SHARE = 0.25
_LEAST_SIDE = 32
# Borders that are thinner are not worth the scaling.
_THINNEST = 4


@dataclass
class Borders:
    """Finds the part of frames that ever shows something. Frames that are black all over say nothing."""

    _rows: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _columns: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def add(self, frame: VideoFrame) -> None:
        """Look at a frame; one of another size than the first is left out."""
        grey = frame.reformat(format="gray", dst_color_range="JPEG", **ONE_THREAD).to_ndarray()
        height, width = grey.shape
        if min(height, width) < _LEAST_SIDE:
            return
        if not self._rows.size:
            self._rows, self._columns = np.zeros(height), np.zeros(width)
        if (height, width) == (self._rows.size, self._columns.size):
            whole_rows, whole_columns = height // _BLOCK * _BLOCK, width // _BLOCK * _BLOCK
            across = grey[:, :whole_columns].reshape(height, -1, _BLOCK).mean(axis=2).max(axis=1)
            down = grey[:whole_rows].reshape(-1, _BLOCK, width).mean(axis=1).max(axis=0)
            np.maximum(self._rows, across, out=self._rows)
            np.maximum(self._columns, down, out=self._columns)

    def box(self) -> Box | None:
        """Return the content, with even edges; None where there are no borders."""
        if not self._rows.size:
            return None
        top, bottom = _span(self._rows)
        left, right = _span(self._columns)
        height, width = self._rows.size, self._columns.size
        if (left, top, right, bottom) == (0, 0, width, height):
            return None
        if bottom - top < _LEAST_SHARE * height or right - left < _LEAST_SHARE * width:
            return None
        return left, top, right, bottom


def _span(brightest: np.ndarray) -> tuple[int, int]:
    """Return (begin, end) of what is brighter than black; nothing is cut off where a border is thin or all is black."""
    length = int(brightest.size)
    seen = np.flatnonzero(brightest > _DARK)
    if not seen.size:
        return 0, length
    # Chroma has half of the pixels; half of a pair belongs to the border.
    begin, end = (int(seen[0]) + 1) // 2 * 2, (int(seen[-1]) + 1) // 2 * 2
    return begin if begin >= _THINNEST else 0, end if length - end >= _THINNEST else length
