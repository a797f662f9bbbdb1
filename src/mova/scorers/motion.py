"""How much moves: dense optical flow after Farneback between neighbouring frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent, score_each
from mova.scorers.clip_media import ClipMedia

FRAME_RATE: Final = 4.0
SHORT_SIDE: Final = 144
"""The longer side of 16:9 is then 256 pixels."""


class MotionScorer:
    """Mean length of the optical flow of small frames, four per second."""

    name = "motion"
    measures = (
        Measure(
            "motion",
            "px",
            Direction.NEITHER,
            "Mean length of the optical flow (Farneback) from frame to frame, at 4 per second and 144 lines.",
        ),
    )
    needs = Needs(frames=True, packages=("cv2",))

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the motion of each clip."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        frames = small_frames(clip)
        if len(frames) < 2:
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the clip is shorter than half a second")
        return Findings({"motion": Score.of(float(flow_lengths(frames)[1:].mean()))})


def small_frames(clip: ClipMedia) -> np.ndarray:
    """Return what several scorers look at: (F, H, W, 3) uint8, four frames per second at 144 lines or fewer."""
    return clip.frames(frame_rate=min(FRAME_RATE, clip.frame_rate), short_side=SHORT_SIDE)


def flow_lengths(frames: np.ndarray) -> np.ndarray:
    """Return the mean length of the flow into each frame in pixels; the first has that of the second.

    Parameters of Farneback's method: pyramid 0.5 with 3 levels, windows of 15, 3 iterations, polynomials of 5 and 1.2.

    Args:
        frames: (F, H, W, 3) uint8.

    Returns:
        (F,) float64; zero for a single frame.
    """
    import cv2

    # Processes, not threads, share the cores.
    cv2.setNumThreads(1)
    lengths = np.zeros(len(frames))
    before = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
    for index in range(1, len(frames)):
        after = cv2.cvtColor(frames[index], cv2.COLOR_RGB2GRAY)
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        lengths[index] = np.hypot(flow[..., 0], flow[..., 1]).mean(dtype=np.float64)
        before = after
    if len(frames) > 1:
        lengths[0] = lengths[1]
    return lengths
