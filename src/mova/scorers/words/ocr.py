"""Text in frames: where lines of it are, and what they say. Only this file imports `rapidocr`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np

from mova.scorers.onnx import NUM_THREADS

_LEAST_BOX: Final = 0.65
_LEAST_SURE: Final = 0.5
"""Of what a line says; what is no letter is read as one with less."""


class FoundText(Protocol):
    """Lines of text that rapidocr found in a frame; None in the place of each where there are none."""

    boxes: np.ndarray | None
    txts: tuple[str, ...] | None
    scores: tuple[float, ...] | None


class TextEngine(Protocol):
    """Finds lines of text, and reads them where it was opened so."""

    def __call__(self, frame: np.ndarray) -> FoundText:
        """Return what is found in a frame (H, W, 3) uint8 with blue first."""


def read_lines(frame: np.ndarray) -> tuple[str, ...]:
    """Return what the lines of text in a frame (H, W, 3) uint8 say, from top to bottom."""
    # The networks were taught on frames with blue first.
    found = _reader()(np.ascontiguousarray(frame[..., ::-1]))
    if found.txts is None or found.scores is None:
        return ()
    return tuple(text for text, sure in zip(found.txts, found.scores, strict=True) if text and sure >= _LEAST_SURE)


def open_engine(least: float, *, reads: bool) -> TextEngine:
    """Return rapidocr's engine with the networks that lie in the package; nothing is fetched.

    Args:
        least: score that a line of text must have, 0 to 1.
        reads: whether it reads lines, or only finds them.
    """
    import rapidocr

    # Named by their paths, so that the package does not look for them elsewhere.
    models = Path(rapidocr.__file__).parent / "models"
    settings = {
        "Global.log_level": "critical",
        "Global.use_cls": False,
        "Global.use_rec": reads,
        "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
        "Det.box_thresh": least,
        "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
        "EngineConfig.onnxruntime.intra_op_num_threads": NUM_THREADS,
    }
    return cast("TextEngine", rapidocr.RapidOCR(params=settings))


@lru_cache(maxsize=1)
def _reader() -> TextEngine:
    return open_engine(_LEAST_BOX, reads=True)
