"""A Whisper model in a folder, through `faster_whisper`, which only this file imports."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mova.scorers.words.transcripts import Transcript


class WhisperTranscriber:
    """Whisper in CTranslate2's form, in 8 bits on one core of the processor. Nothing is downloaded.

    Args:
        folder: with model.bin, config.json, tokenizer.json and a vocabulary.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def transcribe(self, sound: np.ndarray) -> Transcript:
        """As in `Transcriber`; the most likely words, so that the same sound gives the same text."""
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(sound, dtype=np.float32),
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
        )
        return Transcript(" ".join(segment.text.strip() for segment in segments).strip())

    @cached_property
    def _model(self) -> Any:
        import faster_whisper

        return faster_whisper.WhisperModel(
            str(self._folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )
