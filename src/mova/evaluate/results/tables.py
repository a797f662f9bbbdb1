"""The table of an evaluation as Markdown and as CSV; the rows of its clips as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from mova.evaluate.results.paired import PairedRow
from mova.evaluate.results.rows import Results, Row
from mova.evaluate.stats import Estimate
from mova.scorers.base import Direction

_BETTER = {Direction.HIGHER: "higher", Direction.LOWER: "lower", Direction.NEITHER: ""}


def table_markdown(results: Results) -> str:
    """Return the table as Markdown: a row for each metric, and below it why values are missing, and remarks.

    Above it stands by which rules figures were found, where they are not those of this package.
    """
    lines = [results.rules, ""] if results.rules else []
    lines += [
        f"| metric | figure | 95 % interval | better | scored | median | {other_heading(results)} | aggregation |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in results.rows:
        lines.append(
            f"| {_name(row)} | {number(row.estimate.value)} | {interval(row.estimate)} | {_BETTER[row.direction]} | "
            f"{row.estimate.num_clips} of {row.num_total} | {number(row.median)} | "
            f"{number(other_figure(row))} | {row.aggregation} |"
        )
    missing: dict[tuple[str, int], list[str]] = {}
    for row in results.rows:
        for reason, count in row.reasons.items():
            missing.setdefault((reason, count), []).append(row.name)
    if missing:
        lines += ["", "Not scored:", ""]
    for (reason, count), names in missing.items():
        lines.append(f"- {_plain(reason)} ({count} of {len(results.clips)} clips): {', '.join(names)}")
    remarks = [f"- {row.name}: {_plain(row.remark)}" for row in results.rows if row.remark]
    if remarks:
        lines += ["", "Remarks:", "", *remarks]
    return "\n".join(lines) + "\n"


def other_heading(results: Results) -> str:
    """Return what the figures are that stand beside those of a table: of categories, or over all clips alike."""
    return "over all clips" if any(row.over_all is not None for row in results.rows) else "mean of categories"


def other_figure(row: Row) -> float | None:
    """Return the figure that stands beside that of a row, put together in the other way; None where there is none."""
    other = row.over_all if row.over_all is not None else row.category_mean
    return None if other is None or other is row.estimate else other.value


def paired_markdown(rows: Sequence[PairedRow]) -> str:
    """Return a comparison of two evaluations as Markdown."""
    lines = [
        "| measure | difference | 95 % interval | pairs | share better | better |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for row in rows:
        share = "" if row.share_better is None else f"{100 * row.share_better:.0f} %"
        mean = row.difference
        lines.append(
            f"| {row.name} | {number(mean.value)} | {interval(mean)} | {mean.num_clips} | {share} | "
            f"{_BETTER[row.direction]} |"
        )
    return "\n".join(lines) + "\n"


def table_csv(results: Results) -> str:
    """Return the table as CSV: a row for each metric and, behind it, one for each category."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["metric", "scorer", "category", "unit", "better", "value", "low", "high", "median", "scored", "total", "how"]
    )
    for row in results.rows:
        head = [row.unit, _BETTER[row.direction]]
        figures: list[tuple[str, Estimate | None]] = [("", row.estimate), ("mean of categories", row.category_mean)]
        figures.append(("over all clips", row.over_all))
        for category, estimate in [*figures, *row.by_category.items()]:
            if estimate is not None:
                median = row.median if estimate is row.estimate else None
                values = [estimate.value, estimate.low, estimate.high, median, estimate.num_clips, row.num_total]
                writer.writerow([row.name, row.scorer, _cell(category), *head, *values, str(row.aggregation)])
    return out.getvalue()


def clips_csv(results: Results) -> str:
    """Return the clips as CSV: a column for each measure, empty where it has no value."""
    measures = list(dict.fromkeys(name for clip in results.clips for name in (*clip.scores, *clip.reasons)))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "category", "prompt", *measures])
    for clip in results.clips:
        texts = [_cell(text) for text in (clip.id, clip.category, clip.prompt)]
        writer.writerow([*texts, *(clip.scores.get(name, "") for name in measures)])
    return out.getvalue()


def number(value: float | None) -> str:
    """Return a figure with four significant digits; a dash where there is none."""
    return "-" if value is None else f"{value:.4g}"


def interval(estimate: Estimate) -> str:
    """Return the interval of a figure; "" where it has none."""
    return "" if estimate.low is None else f"{number(estimate.low)} to {number(estimate.high)}"


def _name(row: Row) -> str:
    return f"{row.name} ({row.unit})" if row.unit else row.name


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
