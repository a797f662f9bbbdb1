"""The table of an evaluation out of what was found in its clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np

from mova.evaluate import stats
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.measure.runner import Measured
from mova.evaluate.results.derived import POOLED_RATES, SET_FIGURES, PooledRate, SetFigure
from mova.evaluate.results.rows import Aggregation, ClipRow, Results, Row
from mova.evaluate.stats import Estimate
from mova.scorers.base import Absence, Findings, Measure, Score

_NO_EMBEDDING = "no embedding"


def aggregate(
    measured: Sequence[Measured],
    plan: MeasurePlan,
    *,
    pooled_rates: Sequence[PooledRate] = POOLED_RATES,
    set_figures: Sequence[SetFigure] = SET_FIGURES,
) -> Results:
    """Return the table of an evaluation and the rows of its clips.

    Args:
        measured: every clip with what was found in it.
        plan: scorers that were applied.
        pooled_rates, set_figures: metrics that are no means; those of other scorers are left out.
    """
    rows = []
    for name, measures in plan.measures.items():
        rates = [rate for rate in pooled_rates if rate.scorer == name]
        counted = {part for rate in rates for part in (rate.numerator, rate.denominator)}
        rows += [_mean_row(name, one, measured) for one in measures if one.name not in counted]
        rows += [_pooled_row(rate, measured) for rate in rates]
        rows += [_set_row(one, measured) for one in set_figures if one.scorer == name]
    return Results(tuple(rows), tuple(_clip_row(one) for one in measured))


def _mean_row(scorer: str, measure: Measure, measured: Sequence[Measured]) -> Row:
    scores = [one.findings[scorer].scores[measure.name] for one in measured]
    values, categories = [], []
    for one, score in zip(measured, scores, strict=True):
        if score.value is not None:
            values.append(score.value)
            categories.append(one.item.category)
    by_category = _by_category(measured, lambda own: _mean(scorer, measure.name, own))
    return Row(
        measure.name,
        scorer,
        measure.unit,
        measure.direction,
        measure.meaning,
        Aggregation.ITEM,
        stats.mean(values),
        len(measured),
        median(values) if values else None,
        by_category,
        stats.mean_of_categories(values, categories) if by_category else None,
        _reasons(scores),
    )


def _mean(scorer: str, measure: str, measured: Sequence[Measured]) -> Estimate:
    found = (one.findings[scorer].scores[measure].value for one in measured)
    return stats.mean([value for value in found if value is not None])


def _pooled_row(rate: PooledRate, measured: Sequence[Measured]) -> Row:
    def pooled(own: Sequence[Measured]) -> Estimate:
        parts = [(_value(one, rate.scorer, rate.numerator), _value(one, rate.scorer, rate.denominator)) for one in own]
        known = [(above, below) for above, below in parts if above is not None and below is not None]
        return stats.ratio([above for above, _ in known], [below for _, below in known])

    by_category = _by_category(measured, pooled)
    return Row(
        rate.name,
        rate.scorer,
        "",
        rate.direction,
        rate.meaning,
        Aggregation.POOLED,
        pooled(measured),
        len(measured),
        by_category=by_category,
        category_mean=_plain_mean(by_category),
        reasons=_reasons([one.findings[rate.scorer].scores[rate.numerator] for one in measured]),
    )


def _set_row(metric: SetFigure, measured: Sequence[Measured]) -> Row:
    def of_set(own: Sequence[Measured]) -> Estimate:
        found = (one.findings[metric.scorer].embeddings.get(metric.embedding) for one in own)
        vectors = np.asarray([vector for vector in found if vector is not None])
        if len(vectors) < metric.least:
            return Estimate(None, None, None, len(vectors))
        return stats.of_set(len(vectors), lambda chosen: metric.figure(vectors[chosen]))

    absent = Counter(
        _why(one.findings[metric.scorer])
        for one in measured
        if metric.embedding not in one.findings[metric.scorer].embeddings
    )
    whole = of_set(measured)
    if whole.value is None and whole.num_clips:
        absent[f"needs {metric.least} clips at least"] += whole.num_clips
    by_category = _by_category(measured, of_set)
    return Row(
        metric.name,
        metric.scorer,
        metric.unit,
        metric.direction,
        metric.meaning,
        Aggregation.SET,
        whole,
        len(measured),
        by_category=by_category,
        category_mean=_plain_mean(by_category),
        reasons=dict(absent.most_common()),
    )


def _by_category(
    measured: Sequence[Measured], figure: Callable[[Sequence[Measured]], Estimate]
) -> Mapping[str, Estimate]:
    """Return the figure of each category, where there are two or more."""
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        groups.setdefault(one.item.category, []).append(one)
    return {name: figure(own) for name, own in groups.items()} if len(groups) > 1 else {}


def _plain_mean(by_category: Mapping[str, Estimate]) -> Estimate | None:
    """Return the mean of the categories' figures, without an interval; None where a category has none."""
    if not by_category:
        return None
    values = [one.value for one in by_category.values() if one.value is not None]
    num_clips = sum(one.num_clips for one in by_category.values())
    return Estimate(sum(values) / len(values) if values else None, None, None, num_clips)


def _value(one: Measured, scorer: str, measure: str) -> float | None:
    return one.findings[scorer].scores[measure].value


def _reasons(scores: Sequence[Score]) -> Mapping[str, int]:
    return dict(Counter(_kind(score.reason) for score in scores if score.reason).most_common())


def _kind(reason: str) -> str:
    """Return a reason without what it tells of one clip alone; that stands in the clip's own row."""
    kind, _, detail = reason.partition(": ")
    return f"{kind}: {detail.partition(': ')[0]}" if kind == Absence.FAILED else reason


def _why(findings: Findings) -> str:
    reasons = [score.reason for score in findings.scores.values() if score.reason]
    return _kind(reasons[0]) if reasons else _NO_EMBEDDING


def _clip_row(one: Measured) -> ClipRow:
    found = list(one.findings.values())
    scores = {name: score for findings in found for name, score in findings.scores.items()}
    return ClipRow(
        one.item.id,
        "" if one.item.path is None else str(one.item.path),
        one.item.prompt,
        one.item.category,
        {name: score.value for name, score in scores.items() if score.value is not None},
        {name: score.reason for name, score in scores.items() if score.reason},
        tuple(dict.fromkeys(tag for findings in found for tag in findings.tags)),
        tuple(text for findings in found for text in findings.texts),
    )
