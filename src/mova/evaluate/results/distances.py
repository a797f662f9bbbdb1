"""How far clips are from a reference: Frechet distances of embeddings, and KL divergences of classes of sounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import numpy as np

from mova.evaluate import stats
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.measure.runner import Measured
from mova.evaluate.results.aggregate import why_no_embedding
from mova.evaluate.results.rows import Aggregation, Row
from mova.evaluate.stats import Estimate
from mova.scorers.base import Direction
from mova.scorers.sets.distance import frechet_distance, pair_divergences, pooled_kl
from mova.scorers.sets.score import SetScore

MOST_DRAWN: Final = 200
"""Clips on either side up to which a distance of sets has an interval: it takes some seconds there."""
_YAMNET: Final = "by YAMNet, not comparable with figures of PANNs"


@dataclass(frozen=True)
class ReferenceFigure:
    """A distance from a reference.

    Attributes:
        name: of the metric.
        scorer: that embeds.
        embedding: name of the embedding.
        is_kl: whether it is a KL divergence of logits of classes; else a Frechet distance.
        meaning: in a sentence.
        remark: what a reader must know of it; "" where there is nothing.
    """

    name: str
    scorer: str
    embedding: str
    is_kl: bool
    meaning: str
    remark: str = ""


FIGURES: Final = (
    ReferenceFigure(
        "fd_panns",
        "cnn14",
        "cnn14",
        is_kl=False,
        meaning="Frechet audio distance (FAD) from the reference, of Cnn14's embeddings: too large for few clips.",
    ),
    ReferenceFigure(
        "kl_panns",
        "cnn14",
        "cnn14_logits",
        is_kl=True,
        meaning="KL divergence of Cnn14's classes from those of the reference, in nats.",
    ),
    ReferenceFigure(
        "fd_yamnet",
        "audio_tags",
        "yamnet",
        is_kl=False,
        meaning=f"Frechet audio distance (FAD) from the reference, {_YAMNET}: too large for few clips.",
        remark=_YAMNET,
    ),
    ReferenceFigure(
        "kl_yamnet",
        "audio_tags",
        "yamnet_logits",
        is_kl=True,
        meaning=f"KL divergence of classes of sounds from those of the reference in nats, {_YAMNET}.",
        remark=_YAMNET,
    ),
)


@dataclass(frozen=True)
class ReferenceVectors:
    """What is known of a reference.

    Attributes:
        num_clips: how many clips it has.
        vectors: by the name of the embedding and by that of the clip.
        absent: why a scorer says nothing of it, by the scorer's name.
    """

    num_clips: int
    vectors: Mapping[str, Mapping[str, np.ndarray]]
    absent: Mapping[str, str]


def reference_rows(measured: Sequence[Measured], plan: MeasurePlan, reference: ReferenceVectors) -> tuple[Row, ...]:
    """Return a row for each distance that a scorer of the plan is made for.

    Intervals are over clips that are drawn again; the reference stays as it is. Of more than `MOST_DRAWN` clips on a
    side a distance of sets has none.

    Args:
        measured: every clip with what was found in it.
        plan: scorers that were applied.
        reference: what the clips are compared with.
    """
    return tuple(_row(one, measured, reference) for one in FIGURES if one.scorer in plan.names)


def _row(figure: ReferenceFigure, measured: Sequence[Measured], reference: ReferenceVectors) -> Row:
    ours = {
        one.item.id: one.findings[figure.scorer].embeddings[figure.embedding]
        for one in measured
        if figure.embedding in one.findings[figure.scorer].embeddings
    }
    absent = Counter(why_no_embedding(one.findings[figure.scorer]) for one in measured if one.item.id not in ours)
    theirs = reference.vectors.get(figure.embedding, {})
    row = Row(
        figure.name,
        figure.scorer,
        "nats" if figure.is_kl else "",
        Direction.LOWER,
        figure.meaning,
        Aggregation.REFERENCE,
        Estimate(None, None, None, len(ours)),
        len(measured),
        reasons=dict(absent.most_common()),
    )
    if figure.scorer in reference.absent or not theirs or not ours:
        why = reference.absent.get(figure.scorer) or ("no clip of the reference has an embedding" if not theirs else "")
        return replace(row, reasons={**row.reasons, why: len(ours)} if why and ours else row.reasons)
    told = [figure.remark, f"{len(theirs)} of {reference.num_clips} clips of the reference"]
    if figure.is_kl and ours.keys() & theirs.keys():
        row = _paired(row, measured, ours, theirs)
        told.append("each clip with the one of its name in the reference")
    else:
        row = _of_sets(row, figure, ours, theirs)
        told.append("pooled: no clip has the name of one of the reference" if figure.is_kl else "")
    return replace(row, remark="; ".join(part for part in (*told, row.remark) if part))


def _paired(
    row: Row, measured: Sequence[Measured], ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> Row:
    """Return the mean divergence of clips from those of the same name."""
    found: dict[str, list[float]] = {}
    unpaired = 0
    for one in measured:
        own = found.setdefault(one.item.category, [])
        if one.item.id in ours and one.item.id in theirs:
            own += pair_divergences(ours[one.item.id][None], theirs[one.item.id][None]).tolist()
        elif one.item.id in ours:
            unpaired += 1
    values = [value for own in found.values() for value in own]
    categories = [category for category, own in found.items() for _ in own]
    several = len(found) > 1
    alone = {"no clip of this name in the reference": unpaired} if unpaired else {}
    return replace(
        row,
        aggregation=Aggregation.PAIRED,
        estimate=stats.mean(values),
        median=median(values),
        by_category={category: stats.mean(own) for category, own in found.items()} if several else {},
        category_mean=stats.mean_of_categories(values, categories) if several else None,
        reasons={**row.reasons, **alone},
    )


def _of_sets(
    row: Row, figure: ReferenceFigure, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> Row:
    one, other = (np.stack(list(vectors.values())) for vectors in (ours, theirs))
    measure = pooled_kl if figure.is_kl else frechet_distance

    def distance(chosen: np.ndarray) -> SetScore:
        return measure(one[chosen], other)

    whole = distance(np.arange(len(one)))
    if whole.value is None:
        return replace(row, reasons={**row.reasons, whole.reason: len(one)})
    if max(len(one), len(other)) > MOST_DRAWN:
        remark = "; ".join(part for part in (whole.remark, f"no interval for more than {MOST_DRAWN} clips") if part)
        return replace(row, estimate=Estimate(whole.value, None, None, len(one)), remark=remark)
    found = stats.of_set(len(one), lambda chosen: distance(chosen).value)
    low = None if found.low is None else max(0.0, found.low)
    return replace(row, estimate=replace(found, low=low), remark=whole.remark)
