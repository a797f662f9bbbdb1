"""Metrics that are no mean of the clips' values: rates of pooled counts, and figures of a set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mova.scorers.base import Direction
from mova.scorers.by_file.likeness import mean_cosine
from mova.scorers.sets.inception import inception_score


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
        figure: of (N, D) vectors, one for each clip; None where they have none.
    """

    name: str
    scorer: str
    embedding: str
    unit: str
    direction: Direction
    meaning: str
    least: int
    figure: Callable[[np.ndarray], float | None]


def _inception_score(logits: np.ndarray) -> float | None:
    # One split for each set: what the paper's tables hold, and what a small category allows.
    return inception_score(logits, splits=1).value


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
SET_FIGURES: Final = (
    SetFigure(
        "inception_score",
        "cnn14",
        "cnn14_logits",
        "",
        Direction.HIGHER,
        "Inception Score of the audio by Cnn14, one split: it grows with the number of clips.",
        2,
        _inception_score,
    ),
    SetFigure(
        "voice_likeness",
        "voice",
        "ge2e",
        "",
        Direction.NEITHER,
        "Mean cosine between the voices of different clips: high where one voice is meant to speak in all of them.",
        2,
        mean_cosine,
    ),
)
