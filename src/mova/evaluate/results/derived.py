"""Metrics that are no mean of the clips' values: rates of pooled counts, and figures of a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from mova.scorers.base import Direction
from mova.scorers.by_file.likeness import mean_cosine
from mova.scorers.published.quirks import NO_QUIRKS, Quirks
from mova.scorers.sets.inception import inception_score
from mova.scorers.sets.score import SetScore


@dataclass(frozen=True)
class PooledRate:
    """A sum over a sum: clips weigh as much as they hold.

    Attributes:
        name: of the metric.
        scorer: that counts.
        numerator, denominator: its measures with the counts, which get no row of their own.
        direction: which rates are better.
        meaning: in a sentence.
    """

    name: str
    scorer: str
    numerator: str
    denominator: str
    direction: Direction
    meaning: str


@dataclass(frozen=True)
class SetFigure:
    """A figure of the embeddings of a set of clips.

    Attributes:
        name: of the metric.
        scorer: that embeds.
        embedding: name of the embedding.
        unit: of the figure.
        direction: which figures are better.
        meaning: in a sentence.
        least: how many clips it needs.
        figure: of (N, D) vectors, one for each clip.
    """

    name: str
    scorer: str
    embedding: str
    unit: str
    direction: Direction
    meaning: str
    least: int
    figure: Callable[[np.ndarray], SetScore]


@dataclass(frozen=True)
class Drift:
    """What a measure is at the end of clips less what it is at their beginning, over those that have both.

    Attributes:
        name: of the metric.
        scorer: that measures both.
        first, last: its measures of the beginning and of the end.
        meaning: in a sentence.
    """

    name: str
    scorer: str
    first: str
    last: str
    meaning: str


def set_figures(quirks: Quirks = NO_QUIRKS) -> tuple[SetFigure, ...]:
    """Return the figures of sets of clips.

    Args:
        quirks: of the reference evaluation that are taken over.
    """

    def inception(logits: np.ndarray) -> SetScore:
        splits = 1 if quirks.is_one_split else None
        return inception_score(
            logits, splits=splits, shuffled=not quirks.is_one_split, as_published=quirks.is_in_float32
        )

    return (
        SetFigure(
            "inception_score",
            "cnn14",
            "cnn14_logits",
            "",
            Direction.HIGHER,
            "Inception Score of the audio by Cnn14: it grows with the number of clips and falls with that of splits.",
            2,
            inception,
        ),
        SetFigure(
            "voice_likeness",
            "voice",
            "ge2e",
            "",
            Direction.NEITHER,
            "Mean cosine between the voices of different clips: high where one voice is meant to speak in all of them.",
            2,
            _likeness,
        ),
    )


def _likeness(vectors: np.ndarray) -> SetScore:
    value = mean_cosine(vectors)
    return SetScore(value, "" if value is not None else "there are no two voices", len(vectors), len(vectors))


POOLED_RATES: Final[tuple[PooledRate, ...]] = (
    PooledRate(
        "said_wer_pooled",
        "said",
        "said_word_errors",
        "said_words",
        Direction.LOWER,
        "Wrong words of all clips for each word of all quoted lines.",
    ),
    PooledRate(
        "said_cer_pooled",
        "said",
        "said_char_errors",
        "said_chars",
        Direction.LOWER,
        "Wrong characters of all clips for each character of all quoted lines, in scripts without spaces.",
    ),
    PooledRate(
        "cpcer",
        "cpcer",
        "cpcer_errors",
        "cpcer_chars",
        Direction.LOWER,
        "Wrong characters of all dialogues for each character of them, with speakers assigned as well as may be.",
    ),
)
SET_FIGURES: Final = set_figures()
DRIFTS: Final = (
    Drift(
        "av_align_drift",
        "synchrony",
        "av_align_first",
        "av_align_last",
        "AV-Align of the last quarter less that of the first: below 0 where synchrony is lost on the way.",
    ),
    Drift(
        "onset_motion_drift",
        "synchrony",
        "onset_motion_first",
        "onset_motion_last",
        "Correlation of onsets with motion in the last quarter less that in the first: below 0 where it is lost.",
    ),
    Drift(
        "desync_drift",
        "synchformer",
        "desync_start",
        "desync_end",
        "DeSync of the last 4.8 s less that of the first, which overlap in clips under 9.6 s: above 0 where it grows.",
    ),
)


def derived_scorers() -> Mapping[str, str]:
    """Return the scorer of each metric that is no mean of the clips' values, by the metric's name."""
    found = {one.name: one.scorer for one in POOLED_RATES}
    found |= {one.name: one.scorer for one in SET_FIGURES}
    return found | {one.name: one.scorer for one in DRIFTS}
