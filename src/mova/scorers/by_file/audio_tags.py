"""What is heard in a clip, in the 521 words of AudioSet: YAMNet, quantised to 8 bits."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent
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
_PATCH: Final = 96
_PATCH_STEP: Final = 48
# Of the exported graph, whose inputs and outputs are whole numbers: what one step is worth, and which number is zero.
_IN_STEP, _IN_ZERO = 0.04793788492679596, 144
_OUT_STEP, _OUT_ZERO = 0.7565417289733887, 190


class AudioTagScorer(FileScorer):
    """Tags of what is heard for a second or more, the surest first.

    Args:
        folder: with the files; None where there is none.
    """

    name = "audio_tags"
    measures = (
        Measure("tag_confidence", "", Direction.HIGHER, "Probability of the surest tag of YAMNet, at its best moment."),
    )
    needs = Needs(audio=True, packages=("onnxruntime", "librosa"), weights=(YAMNET_GRAPH, YAMNET_DATA, YAMNET_CLASSES))

    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """Return tags in small letters."""
        sound = clip.waveform(SAMPLE_RATE)
        if not sound.any():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the sound is silent")
        likely = tag_probabilities(sound, folder).max(axis=0)
        order = np.argsort(-likely, kind="stable")[:MOST_TAGS]
        tags = tuple(tag_names(folder)[index] for index in order if likely[index] >= LEAST_PROBABILITY)
        return Findings({"tag_confidence": Score.of(float(likely[order[0]]))}, tags=tags)


def tag_probabilities(sound: np.ndarray, folder: Path) -> np.ndarray:
    """Return the probability of each tag, each half second.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz; less than a second is filled up with silence.
        folder: with the files.

    Returns:
        (T, 521) in [0, 1]; the tags do not exclude each other.
    """
    bands = yamnet_bands(sound)
    bands = np.pad(bands, ((0, max(0, _PATCH - len(bands))), (0, 0)), constant_values=bands.min())
    session = _session(folder / YAMNET_GRAPH.name)
    starts = range(0, len(bands) - _PATCH + 1, _PATCH_STEP)
    steps = np.round(bands / _IN_STEP + _IN_ZERO).clip(0, 255).astype(np.uint8)
    found = [session.run(None, {"audio": steps[None, None, start : start + _PATCH]})[0][0] for start in starts]
    logits = _OUT_STEP * (np.asarray(found, dtype=np.float64) - _OUT_ZERO)
    return np.asarray(1.0 / (1.0 + np.exp(-logits.clip(-60, 60))))


@lru_cache(maxsize=1)
def tag_names(folder: Path) -> tuple[str, ...]:
    """Return the tags in small letters, in the order of the probabilities."""
    with (folder / YAMNET_CLASSES.name).open(encoding="utf-8", newline="") as stream:
        return tuple(row["display_name"].lower() for row in csv.DictReader(stream))


@lru_cache(maxsize=1)
def _session(path: Path) -> InferenceSession:
    return open_onnx(path)
