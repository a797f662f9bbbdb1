"""Whether a clip shows what should not be trained on: Yahoo's Open NSFW."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from mova.scorers.base import Direction, EmbeddingSpace, Findings, Measure, Needs, Score
from mova.scorers.by_file.files import NSFW
from mova.scorers.by_file.scorer import FileScorer
from mova.scorers.clip_media import ClipMedia
from mova.scorers.onnx import open_onnx

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FRAME_RATE: Final = 1.0
SHORT_SIDE: Final = 256
_CROP: Final = 224
_POOLED: Final = "/ReduceMean_output_0"
"""Of the graph: the vector before the last layer."""
OPEN_NSFW: Final = EmbeddingSpace(
    "open_nsfw", 1024, "nsfw", "Open NSFW, a network of the ResNet family: clips that look alike, mean of the frames."
)
_MEAN_BGR: Final = np.array([104.0, 117.0, 123.0], np.float32)


class NsfwScorer(FileScorer):
    """Probability of pornographic content, of the worst frame; and the network's vector of what is seen.

    Args:
        folder: with the file; None where there is none.
    """

    name = "nsfw"
    measures = (
        Measure(
            "nsfw",
            "",
            Direction.LOWER,
            "Open NSFW: probability of pornographic content in the worst frame; below 0.2 is safe, above 0.8 is not.",
        ),
    )
    spaces = (OPEN_NSFW,)
    needs = Needs(frames=True, packages=("onnxruntime",), weights=(NSFW,))

    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """Return the probability for the worst of one frame a second."""
        frames = clip.frames(frame_rate=min(FRAME_RATE, clip.frame_rate), short_side=SHORT_SIDE)
        probabilities, vectors = see(frames, folder)
        scores = {"nsfw": Score.of(float(probabilities.max()))}
        return Findings(scores, embeddings={OPEN_NSFW.name: vectors.mean(axis=0)})


def see(frames: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability (F,) and the vector (F, 1024) float32, 0 or more, of each frame.

    Args:
        frames: (F, H, W, 3) uint8 of any size.
        folder: with the file.
    """
    session = _session(folder / NSFW.name)
    seen = np.stack([_as_taught(frame) for frame in frames])
    probabilities, vectors = session.run(None, {session.get_inputs()[0].name: seen})
    return np.asarray(probabilities[:, 1]), np.asarray(vectors)


def _as_taught(frame: np.ndarray) -> np.ndarray:
    """Return a frame as the network was taught: 256 x 256 through a JPEG file, the middle of it, blue first."""
    file = io.BytesIO()
    Image.fromarray(frame).resize((SHORT_SIDE, SHORT_SIDE), Image.Resampling.BILINEAR).save(file, format="JPEG")
    with Image.open(file) as image:
        small = np.asarray(image.convert("RGB"), dtype=np.float32)
    edge = (SHORT_SIDE - _CROP) // 2
    return small[edge : edge + _CROP, edge : edge + _CROP, ::-1] - _MEAN_BGR


@lru_cache(maxsize=1)
def _session(path: Path) -> InferenceSession:
    return open_onnx(path, (_POOLED,))
