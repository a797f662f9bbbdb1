"""Whether a generated video has collapsed: to a flat colour, or to a still that never moves.

Both happen to models that are asked for a video from text alone: the stand-in for the first frame stays on for the
whole clip, or nothing begins. What is measured is so plain that no real clip is near it (thresholds from clips of the
toy world and of `mova-tiny`, see `docs/guides/long_clips.md`). Silent audio is no sign: much of the world is silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

CollapseKind = Literal["flat", "frozen"]
LEAST_SPREAD: Final = 3.0
"""Levels of 255: standard deviation of the pixels of a frame, of its most varied channel; the median of a clip."""
LEAST_MOTION: Final = 4.0
"""Levels of 255: how much the part of the frame that changes most (a 16th of height and width) differs, on average over
its pixels, from one frame to another one later; the largest of a clip."""
LEAST_FRAMES: Final = 24
"""Of fewer frames nothing is said of motion: real clips stand still for half a second now and then."""
_PARTS: Final = 16


@dataclass(frozen=True)
class Collapse:
    """What was found.

    Attributes:
        kind: "flat" or "frozen".
        spread, motion: measured, in levels of 255; see `LEAST_SPREAD` and `LEAST_MOTION`.
    """

    kind: CollapseKind
    spread: float
    motion: float

    def __str__(self) -> str:
        """Return it in words."""
        if self.kind == "flat":
            return f"flat: its pixels differ by {self.spread:.2f} levels of 255, less than {LEAST_SPREAD:g}"
        return f"frozen: it moves by {self.motion:.2f} levels of 255, less than {LEAST_MOTION:g}"


def find_collapse(frames: np.ndarray) -> Collapse | None:
    """Look at a video, or at a part of one.

    Args:
        frames: (F, H, W, 3) uint8.

    Returns:
        What is wrong; None where nothing is.
    """
    spread, motion = _spread(frames), _motion(frames)
    if spread < LEAST_SPREAD:
        return Collapse("flat", spread, motion)
    if len(frames) >= LEAST_FRAMES and motion < LEAST_MOTION:
        return Collapse("frozen", spread, motion)
    return None


def _spread(frames: np.ndarray) -> float:
    return float(np.median([frame.reshape(-1, 3).std(axis=0, dtype=np.float64).max() for frame in frames]))


def _motion(frames: np.ndarray) -> float:
    """Return the largest change of a part between frames that lie an eighth of the clip apart, or side by side."""
    means = [_parts(frame) for frame in frames]
    gaps = {1, max(1, len(frames) // 8)}
    changes = [
        np.abs(later - earlier).max() for gap in gaps for earlier, later in zip(means, means[gap:], strict=False)
    ]
    return float(max(changes, default=0.0))


def _parts(frame: np.ndarray) -> np.ndarray:
    """Return the mean colour of each part of a frame: at most (16, 16, 3)."""
    height, width = frame.shape[:2]
    rows, columns = max(1, height // _PARTS), max(1, width // _PARTS)
    cut = frame[: height // rows * rows, : width // columns * columns]
    means: np.ndarray = cut.reshape(height // rows, rows, width // columns, columns, 3).mean((1, 3), dtype=np.float32)
    return means
