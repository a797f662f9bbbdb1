"""What is heard in a clip, in the 521 words of AudioSet and as a vector: YAMNet, quantised to 8 bits."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.scorers.base import (
    Absence,
    Direction,
    EmbeddingSpace,
    Findings,
    Measure,
    Needs,
    Score,
    all_absent,
)
from mova.scorers.by_file.files import YAMNET_CLASSES, YAMNET_DATA, YAMNET_GRAPH
from mova.scorers.by_file.scorer import FileScorer
from mova.scorers.clip_media import ClipMedia
from mova.scorers.onnx import open_onnx
from mova.scorers.spectrum import yamnet_bands

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SAMPLE_RATE: Final = 16_000
LEAST_PROBABILITY: Final = 0.3
MOST_TAGS: Final = 8
_SILENCE: Final = "silence"
_PATCH: Final = 96
_PATCH_STEP: Final = 48
# Of the exported graph, whose inputs and outputs are whole numbers: what one step is worth, and which number is zero.
_IN_STEP, _IN_ZERO = 0.04793788492679596, 144
_OUT_STEP, _OUT_ZERO = 0.7565417289733887, 190
_POOLED: Final = "/model/GlobalAveragePool_output_0"
"""Of the same graph: the vector before the last layer, not yet quantised."""
YAMNET: Final = EmbeddingSpace(
    "yamnet", 1024, "tag_confidence", "YAMNet: clips that sound alike, mean of windows of a second."
)
YAMNET_LOGITS: Final = EmbeddingSpace(
    "yamnet_logits", 521, "tag_confidence", "Clips of the same tags: YAMNet's logits, mean of windows of a second."
)


class AudioTagScorer(FileScorer):
    """Tags of what is heard for a second or more, the surest first; and YAMNet's vector of it.

    Args:
        folder: with the files; None where there is none.
    """

    name = "audio_tags"
    measures = (
        Measure(
            "tag_confidence",
            "",
            Direction.HIGHER,
            "Probability of the surest tag of YAMNet but silence, at its best moment.",
        ),
    )
    spaces = (YAMNET, YAMNET_LOGITS)
    needs = Needs(audio=True, packages=("onnxruntime", "librosa"), weights=(YAMNET_GRAPH, YAMNET_DATA, YAMNET_CLASSES))

    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """Return tags in small letters."""
        sound = clip.waveform(SAMPLE_RATE)
        if not sound.any():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the sound is silent")
        probabilities, vectors = hear(sound, folder)
        likely = probabilities.max(axis=0)
        order = np.argsort(-likely, kind="stable")[:MOST_TAGS]
        names = tag_names(folder)
        tags = tuple(names[index] for index in order if likely[index] >= LEAST_PROBABILITY)
        # Else the clip with the fewest sounds would have the best score, for its pauses.
        surest = next(index for index in order if names[index] != _SILENCE)
        scores = {"tag_confidence": Score.of(float(likely[surest]))}
        clipped = np.minimum(probabilities, 1 - 1e-15)
        logits = np.log(clipped) - np.log1p(-clipped)
        embeddings = {YAMNET.name: vectors.mean(axis=0), YAMNET_LOGITS.name: logits.mean(axis=0).astype(np.float32)}
        return Findings(scores, tags=tags, embeddings=embeddings)


def hear(sound: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each tag, and a vector of what is heard, each half second.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz; less than a second is filled up with silence.
        folder: with the files.

    Returns:
        (T, 521) in [0, 1], where the tags do not exclude each other, and (T, 1024) float32, 0 or more.
    """
    bands = yamnet_bands(sound)
    bands = np.pad(bands, ((0, max(0, _PATCH - len(bands))), (0, 0)), constant_values=bands.min())
    session = _session(folder / YAMNET_GRAPH.name)
    starts = range(0, len(bands) - _PATCH + 1, _PATCH_STEP)
    steps = np.round(bands / _IN_STEP + _IN_ZERO).clip(0, 255).astype(np.uint8)
    found = [session.run(None, {"audio": steps[None, None, start : start + _PATCH]}) for start in starts]
    logits = _OUT_STEP * (np.asarray([one[0][0] for one in found], dtype=np.float64) - _OUT_ZERO)
    vectors = np.asarray([one[1].reshape(-1) for one in found], dtype=np.float32)
    return 1.0 / (1.0 + np.exp(-logits.clip(-60, 60))), vectors


@lru_cache(maxsize=1)
def tag_names(folder: Path) -> tuple[str, ...]:
    """Return the tags in small letters, in the order of the probabilities."""
    with (folder / YAMNET_CLASSES.name).open(encoding="utf-8", newline="") as stream:
        return tuple(row["display_name"].lower() for row in csv.DictReader(stream))


@lru_cache(maxsize=1)
def _session(path: Path) -> InferenceSession:
    return open_onnx(path, (_POOLED,))
