"""Rows of the table of an evaluation, each a metric with how it was put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from mova.evaluate.stats import Estimate
from mova.scorers.base import Direction


class Aggregation(StrEnum):
    """How the figures of clips become one.

    Attributes:
        ITEM: mean over all clips that have a value.
        CATEGORY: mean of the categories' means.
        POOLED: sum over sum: clips weigh as much as they hold.
        SET: a figure that only a set of clips has.
        PAIRED: mean over clips that have their own in a reference.
        REFERENCE: a distance of the set from a reference.
    """

    ITEM = "mean over clips"
    CATEGORY = "mean of categories"
    POOLED = "pooled"
    SET = "of the set"
    PAIRED = "mean over pairs with the reference"
    REFERENCE = "of the set from the reference"


@dataclass(frozen=True)
class Row:
    """A metric over the clips of an evaluation.

    Attributes:
        name: of the metric.
        scorer: that it comes from.
        unit: of the figures; "" for plain numbers.
        direction: which figures are better.
        meaning: in a sentence.
        aggregation: how `estimate` was put together.
        estimate: the figure, with its 95 % bootstrap interval over clips, and how many clips have a value.
        num_total: how many clips there are; each counts, whether or not it has a value.
        median: of the clips' values; None where they have none of their own.
        by_category: the figure of each category.
        category_mean: mean of the categories' figures; None with fewer than two categories.
        reasons: why clips have no value, with how many; the most common first.
        over_all: over all clips alike, where `estimate` is the mean of the categories' figures; None elsewhere.
        remark: what a reader must know of the figure, such as how many splits a set was in; "" where there is nothing.
    """

    name: str
    scorer: str
    unit: str
    direction: Direction
    meaning: str
    aggregation: Aggregation
    estimate: Estimate
    num_total: int
    median: float | None = None
    by_category: Mapping[str, Estimate] = field(default_factory=dict)
    category_mean: Estimate | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    over_all: Estimate | None = None
    remark: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the row as JSON values; nothing in it is NaN or infinite."""
        return asdict(self)


@dataclass(frozen=True)
class ClipRow:
    """What was found of one clip.

    Attributes:
        id: of the clip.
        path: its file; "" where there is none.
        prompt, category: of the clip.
        scores: by measure, where there is a value.
        reasons: by measure, where there is none.
        tags, texts: what was seen, heard or read.
    """

    id: str
    path: str
    prompt: str
    category: str
    scores: Mapping[str, float]
    reasons: Mapping[str, str]
    tags: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the row as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Results:
    """All that an evaluation found.

    Attributes:
        rows: metrics, in the order of their scorers.
        clips: in the order of the evaluation.
        rules: by which figures were found other than those of this package; "" where there are none.
    """

    rows: tuple[Row, ...]
    clips: tuple[ClipRow, ...]
    rules: str = ""
