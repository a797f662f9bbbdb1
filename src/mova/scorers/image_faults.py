"""Faults of the video that need no network: black, frozen, blurred and blocky frames, and how much there is to see."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mova.media.measures.image_faults import image_faults
from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, score_each
from mova.scorers.clip_media import ClipMedia


class ImageFaultScorer:
    """What FFmpeg's filters say of a clip in one pass over its frames."""

    name = "image_faults"
    measures = (
        Measure("black_share", "", Direction.LOWER, "Share of the time in which 98 % of the frame is black."),
        Measure("freeze_share", "", Direction.LOWER, "Share of the time in which nothing moves for half a second."),
        Measure("blur", "px", Direction.LOWER, "Mean width of edges (FFmpeg's blurdetect), four frames per second."),
        Measure(
            "blockiness",
            "",
            Direction.LOWER,
            "Strength of a grid of blocks over what lies between (FFmpeg's blockdetect); 1 is none.",
        ),
        Measure(
            "spatial_information",
            "",
            Direction.NEITHER,
            "Detail of the frames: SI of ITU-T P.910 at 360 lines at most, mean over time.",
        ),
        Measure(
            "temporal_information",
            "",
            Direction.NEITHER,
            "Change between frames: TI of ITU-T P.910 at 360 lines at most, mean over time.",
        ),
    )
    needs = Needs(frames=True)

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the faults of each clip."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        found = image_faults(clip.path)
        return Findings(
            {
                "black_share": Score.of(min(1.0, found.black_s / found.duration_s)),
                "freeze_share": Score.of(min(1.0, found.frozen_s / found.duration_s)),
                "blur": _finite(found.blur, "no frame has an edge"),
                "blockiness": _finite(found.blockiness, "the frames are flat"),
                "spatial_information": Score.of(found.spatial_information),
                "temporal_information": _finite(found.temporal_information, "there is one frame"),
            }
        )


def _finite(value: float, otherwise: str) -> Score:
    return Score.absent(Absence.NOT_APPLICABLE, otherwise) if math.isnan(value) else Score.of(value)
