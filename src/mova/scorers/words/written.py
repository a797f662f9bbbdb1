"""Whether the texts that a prompt wants to be seen can be read in the video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent, score_each
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.error_rates import nearest_distance, words_of
from mova.scorers.words.ocr import read_lines
from mova.scorers.words.quotes import QuoteKind, quoted

SHORT_SIDE: Final = 720
FOUND_BELOW: Final = 0.2
"""Edits for each character, up to which a text counts as found: one letter in five."""


class WrittenScorer:
    """Quoted texts that are found by reading frames.

    Args:
        frame_rate: frames per second that are read.
    """

    name = "written"
    measures = (
        Measure(
            "written_found",
            "",
            Direction.HIGHER,
            "Share of the texts that the prompt quotes which can be read in a frame.",
        ),
        Measure(
            "written_distance",
            "",
            Direction.LOWER,
            "Edits for each letter of the quoted texts, at the best place of the best frame, 0 to 1; mean of them.",
        ),
    )
    needs = Needs(frames=True, prompt=True, packages=("rapidocr", "onnxruntime", "rapidfuzz"))

    def __init__(self, frame_rate: float = 1.0) -> None:
        self._frame_rate = frame_rate

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return how much of the quoted texts each clip shows."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        wanted = [text for text in map(_letters, quoted(clip.prompt, QuoteKind.WRITTEN)) if text]
        if not wanted:
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the prompt quotes no text that can be seen")
        rate = min(self._frame_rate, clip.frame_rate)
        frames = [read_lines(frame) for frame in clip.frames(frame_rate=rate, short_side=SHORT_SIDE)]
        # A text may go over several lines, which are read from top to bottom.
        shown = [_letters(" ".join(lines)) for lines in frames]
        distances = [min(nearest_distance(text, one) for one in shown) for text in wanted]
        scores = {
            "written_found": Score.of(sum(one <= FOUND_BELOW for one in distances) / len(distances)),
            "written_distance": Score.of(sum(distances) / len(distances)),
        }
        return Findings(scores, texts=tuple(dict.fromkeys(line for lines in frames for line in lines)))


def _letters(text: str) -> str:
    """Return the letters and digits of a text, small and without spaces, which readers set as they like."""
    return "".join(words_of(text)).replace("'", "")
