"""How much of a clip shows faces, and how large they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score
from mova.scorers.by_file.files import MTCNN
from mova.scorers.by_file.scorer import FileScorer
from mova.scorers.clip_media import ClipMedia

FRAME_RATE: Final = 1.0
SHORT_SIDE: Final = 360
LEAST_PROBABILITY: Final = 0.95
"""For a frame to count; the detector itself lets more through."""


class FaceScorer(FileScorer):
    """Faces in one frame a second, by the detector MTCNN.

    Args:
        folder: with the three files; None where there is none.
    """

    name = "faces"
    measures = (
        Measure("face_share", "", Direction.NEITHER, "Share of the frames, one a second, in which there is a face."),
        Measure("face_height", "", Direction.NEITHER, "Height of the largest face over that of the frame, on average."),
    )
    needs = Needs(frames=True, weights=MTCNN)

    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """Return the faces of a clip; one without a face has no height of it."""
        from mova.scorers.by_file.mtcnn import find_faces

        heights = []
        for frame in clip.frames(frame_rate=min(FRAME_RATE, clip.frame_rate), short_side=SHORT_SIDE):
            faces = find_faces(frame, folder)
            sure = faces[faces[:, 4] >= LEAST_PROBABILITY]
            heights.append(float((sure[:, 3] - sure[:, 1]).max()) / len(frame) if len(sure) else 0.0)
        seen = np.asarray(heights)
        size = Score.absent(Absence.NOT_APPLICABLE, "there is no face")
        if (seen > 0).any():
            size = Score.of(float(seen[seen > 0].mean()))
        return Findings({"face_share": Score.of(float((seen > 0).mean())), "face_height": size})
