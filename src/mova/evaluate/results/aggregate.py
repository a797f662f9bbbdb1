"""The table of an evaluation out of what was found in its clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.evaluate import stats
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.measure.runner import Measured
from mova.evaluate.results import derived
from mova.evaluate.results.derived import DRIFTS, POOLED_RATES, Drift, PooledRate, SetFigure
from mova.evaluate.results.rows import Aggregation, ClipRow, Results, Row
from mova.evaluate.stats import Estimate
from mova.scorers.base import Absence, Findings, Measure, Score
from mova.scorers.published.quirks import MOVA_QUIRKS, Quirks
from mova.scorers.sets.score import SetScore

_NO_EMBEDDING: Final = "no embedding"
_OVER_CLIPS: Final = ("syncnet",)
"""Scorers whose figures the reference evaluation takes over all clips alike, whatever their category."""


def aggregate(
    measured: Sequence[Measured],
    plan: MeasurePlan,
    *,
    pooled_rates: Sequence[PooledRate] = POOLED_RATES,
    set_figures: Sequence[SetFigure] | None = None,
    drifts: Sequence[Drift] = DRIFTS,
) -> Results:
    """Return the table of an evaluation and the rows of its clips.

    Args:
        measured: every clip with what was found in it.
        plan: scorers that were applied.
        pooled_rates, set_figures, drifts: metrics that are no means of a measure; those of other scorers are left out.
            Without figures of sets they are those by the quirks of the plan.
    """
    quirks = plan.settings.quirks
    figures = derived.set_figures(quirks) if set_figures is None else set_figures
    rows: list[Row] = []
    for name, measures in plan.measures.items():
        rates = [rate for rate in pooled_rates if rate.scorer == name]
        counted = {part for rate in rates for part in (rate.numerator, rate.denominator)}
        rows += [_mean_row(name, one, measured) for one in measures if one.name not in counted]
        rows += [_pooled_row(rate, measured) for rate in rates]
        rows += [_drift_row(one, measures, measured) for one in drifts if one.scorer == name]
        rows += [_set_row(one, measured) for one in figures if one.scorer == name]
    if quirks.category_means:
        rows = [_by_categories(row) for row in rows]
    return Results(tuple(rows), tuple(_clip_row(one) for one in measured), told_rules(quirks))


def told_rules(quirks: Quirks) -> str:
    """Return by which rules figures are found other than those of this package, in a sentence; "" where none are."""
    if not quirks.names():
        return ""
    whole = "all quirks" if quirks == MOVA_QUIRKS else "some quirks"
    names = ", ".join(quirks.names())
    return f"Scored by the rules of the reference evaluation (`--parity mova`), with {whole} of it: {names}."


def _by_categories(row: Row) -> Row:
    """Return a row with the mean of the categories as its figure, where the reference evaluation takes that."""
    if row.category_mean is None or row.aggregation is Aggregation.POOLED or row.scorer in _OVER_CLIPS:
        return row
    return replace(row, estimate=row.category_mean, aggregation=Aggregation.CATEGORY, over_all=row.estimate)


def _mean_row(scorer: str, measure: Measure, measured: Sequence[Measured]) -> Row:
    return _row_of_means(scorer, measure, measured, [one.findings[scorer].scores[measure.name] for one in measured])


def _drift_row(drift: Drift, measures: Sequence[Measure], measured: Sequence[Measured]) -> Row:
    last = next(one for one in measures if one.name == drift.last)
    measure = replace(last, name=drift.name, meaning=drift.meaning)
    scores = []
    for one in measured:
        first, second = (one.findings[drift.scorer].scores[name] for name in (drift.first, drift.last))
        both = first.value is not None and second.value is not None
        scores.append(Score.of(_less(second, first)) if both else first if first.reason else second)
    return _row_of_means(drift.scorer, measure, measured, scores)


def _less(one: Score, other: Score) -> float:
    return (one.value or 0.0) - (other.value or 0.0)


def _row_of_means(scorer: str, measure: Measure, measured: Sequence[Measured], scores: Sequence[Score]) -> Row:
    """Return the row of the means of one score for each clip."""
    known: dict[str, list[float]] = {}
    for one, score in zip(measured, scores, strict=True):
        known.setdefault(one.item.category, []).extend([] if score.value is None else [score.value])
    values = [value for own in known.values() for value in own]
    categories = [category for category, own in known.items() for _ in own]
    by_category = {name: stats.mean(own) for name, own in known.items()} if len(known) > 1 else {}
    return Row(
        measure.name,
        scorer,
        measure.unit,
        measure.direction,
        measure.meaning,
        Aggregation.ITEM,
        stats.mean([score.value for score in scores if score.value is not None]),
        len(measured),
        median(values) if values else None,
        by_category,
        stats.mean_of_categories(values, categories) if by_category else None,
        _reasons(scores),
    )


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
    def vectors_of(own: Sequence[Measured]) -> np.ndarray:
        found = (one.findings[metric.scorer].embeddings.get(metric.embedding) for one in own)
        return np.asarray([vector for vector in found if vector is not None])

    def of(vectors: np.ndarray) -> Callable[[NDArray[np.int64]], float | None]:
        if len(vectors) < metric.least:
            return lambda _: None
        return lambda chosen: metric.figure(vectors[chosen]).value

    absent = Counter(
        why_no_embedding(one.findings[metric.scorer])
        for one in measured
        if metric.embedding not in one.findings[metric.scorer].embeddings
    )
    whole, groups = vectors_of(measured), {name: vectors_of(own) for name, own in _groups(measured).items()}
    score = (
        metric.figure(whole) if len(whole) >= metric.least else SetScore(None, f"needs {metric.least} clips at least")
    )
    if score.reason and len(whole):
        absent[score.reason] += len(whole)
    by_category = {name: stats.of_set(len(own), of(own)) for name, own in groups.items()}
    means = stats.mean_of_sets([len(own) for own in groups.values()], [of(own) for own in groups.values()])
    return Row(
        metric.name,
        metric.scorer,
        metric.unit,
        metric.direction,
        metric.meaning,
        Aggregation.SET,
        stats.of_set(len(whole), of(whole)),
        len(measured),
        by_category=by_category,
        category_mean=means if groups else None,
        reasons=dict(absent.most_common()),
        remark=score.remark,
    )


def _by_category(
    measured: Sequence[Measured], figure: Callable[[Sequence[Measured]], Estimate]
) -> Mapping[str, Estimate]:
    """Return the figure of each category, where there are two or more."""
    return {name: figure(own) for name, own in _groups(measured).items()}


def _groups(measured: Sequence[Measured]) -> Mapping[str, Sequence[Measured]]:
    """Return the clips of each category, where there are two or more."""
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        groups.setdefault(one.item.category, []).append(one)
    return groups if len(groups) > 1 else {}


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


def why_no_embedding(findings: Findings) -> str:
    """Return why a scorer gave no embedding, without what it tells of one clip alone."""
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
