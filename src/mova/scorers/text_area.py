"""How much of the frame is covered by text: subtitles, captions, watermarks and signs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from mova.scorers.base import Direction, Findings, Measure, Needs, Score, score_each
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.ocr import TextEngine, open_engine

SHORT_SIDE: Final = 720
LEAST_SCORE: Final = 0.65
"""Small subtitles score 0.66 and more; what the detector takes for text on branches, 0.63 and less."""
LARGE_SHARE: Final = 0.1
"""Of the frame: a box that covers more is a title or a mistake."""
LEAST_LARGE_SCORE: Final = 0.8
"""Titles score 0.83 and more; dark leaves that are taken for a block of text, up to 0.75."""
LARGEST_SHARE: Final = 0.5
"""A box that covers more of the frame is no line of text."""


class TextAreaScorer:
    """Area of the lines of text that a detector finds; nothing is read.

    Args:
        frame_rate: frames per second that are looked at.
    """

    name = "text_area"
    measures = (
        Measure(
            "text_area", "", Direction.LOWER, "Share of the frame that is covered by lines of text, mean over time."
        ),
    )
    needs = Needs(frames=True, packages=("rapidocr", "onnxruntime"))

    def __init__(self, frame_rate: float = 1.0) -> None:
        self._frame_rate = frame_rate

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the area of text in each clip."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        rate = min(self._frame_rate, clip.frame_rate)
        areas = [text_share(frame) for frame in clip.frames(frame_rate=rate, short_side=SHORT_SIDE)]
        return Findings({"text_area": Score.of(float(np.mean(areas)))})


def text_share(frame: np.ndarray) -> float:
    """Return the share of a frame (H, W, 3) uint8 that lines of text cover, at most 1.

    The larger a box, the surer the detector must be.
    """
    shares = _shares(frame, LEAST_SCORE)
    # Its scores are not in the order of its boxes, so where it matters it is asked again for what is surer.
    sure = _shares(frame, LEAST_LARGE_SCORE) if any(LARGE_SHARE < share <= LARGEST_SHARE for share in shares) else []
    small = [share for share in shares if share <= LARGE_SHARE]
    large = [share for share in sure if LARGE_SHARE < share <= LARGEST_SHARE]
    return float(min(1.0, sum(small + large)))


def _shares(frame: np.ndarray, least: float) -> list[float]:
    """Return the share of the frame that each box covers whose score is high enough."""
    # The detector was taught on frames with blue first.
    found = _detector(least)(np.ascontiguousarray(frame[..., ::-1]))
    if found.boxes is None:
        return []
    return [_area(np.asarray(box, dtype=np.float64)) / (frame.shape[0] * frame.shape[1]) for box in found.boxes]


def _area(corners: np.ndarray) -> float:
    x, y = corners.T
    return 0.5 * abs(float(x @ np.roll(y, 1)) - float(y @ np.roll(x, 1)))


@lru_cache(maxsize=2)
def _detector(least: float) -> TextEngine:
    return open_engine(least, reads=False)
