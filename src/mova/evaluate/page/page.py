"""The page of an evaluation: sections in the order in which a reader asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mova.evaluate.page.cards import clip_card
from mova.evaluate.page.shown import ShownClip
from mova.evaluate.results.paired import PairedRow
from mova.evaluate.results.rows import ClipRow, Results, Row
from mova.evaluate.results.tables import interval, other_figure, other_heading
from mova.evaluate.stats import Estimate
from mova.pages.document import document
from mova.pages.formats import count_text, number_text, percent_text
from mova.pages.html import Content, Html, element, joined, stranger
from mova.pages.parts import facts, folded, note
from mova.pages.tables import Cell, Column, table
from mova.scorers.base import Direction

_BETTER = {Direction.HIGHER: "higher", Direction.LOWER: "lower", Direction.NEITHER: ""}
_MOST_LISTED = 2000


def evaluation_page(
    results: Results,
    run: Mapping[str, object],
    shown: Mapping[int, ShownClip],
    paired: Sequence[PairedRow] = (),
) -> str:
    """Return the report of an evaluation as a page; clips are played from their files beside it.

    Args:
        results: of the evaluation.
        run: how they were found, as JSON values.
        shown: clips that are shown, by their number.
        paired: comparison with another evaluation.
    """
    scored = sum(clip.path != "" for clip in results.clips)
    lead = f"{count_text(scored)} of {count_text(len(results.clips))} clips are there; {len(results.rows)} metrics."
    sections: list[tuple[str, str, Content]] = [("metrics", "Metrics", _metrics(results))]
    if any(row.by_category for row in results.rows):
        sections.append(("categories", "By category", _categories(results)))
    if paired:
        sections.append(("compared", "Compared with another evaluation", _paired(paired)))
    sections += [
        ("missing", "Not scored", _missing(results)),
        ("clips", "Clips to look at", _clips(results, shown)),
        ("all", "All clips", _all_clips(results)),
        ("settings", "Settings and versions", _settings(run)),
    ]
    return document("Report of an evaluation", lead, sections)


def _settings(run: Mapping[str, object]) -> Html:
    text = json.dumps(run, indent=1, ensure_ascii=False)
    # Scrolls by itself, with the keyboard too.
    return element("pre", stranger(text, 100_000), tabindex=0, role="region", aria_label="Settings as JSON")


def _metrics(results: Results) -> Html:
    rows: list[tuple[Content | Cell, ...]] = []
    for row in results.rows:
        other = other_figure(row)
        rows.append(
            (
                _named(row),
                Cell(number_text(row.estimate.value), row.estimate.value),
                interval(row.estimate),
                _BETTER[row.direction],
                Cell(f"{row.estimate.num_clips} of {row.num_total}", row.estimate.num_clips),
                Cell(number_text(row.median), row.median),
                Cell(number_text(other), other),
                str(row.aggregation),
            )
        )
    columns: list[Column | str] = [
        "Metric",
        Column("Figure", is_number=True),
        "95 % interval",
        "Better",
        Column("Scored", is_number=True),
        Column("Median", is_number=True),
        Column(other_heading(results).capitalize(), is_number=True),
        "How",
    ]
    meanings = folded("What they mean", facts((row.name, row.meaning) for row in results.rows))
    remarks = [(row.name, row.remark) for row in results.rows if row.remark]
    return joined(
        note(results.rules) if results.rules else None,
        table("Metrics over all clips", columns, rows, sortable=True),
        folded("What to know of some figures", facts(remarks)) if remarks else None,
        meanings,
    )


def _categories(results: Results) -> Html:
    names = list(dict.fromkeys(name for row in results.rows for name in row.by_category))
    rows: list[tuple[Content | Cell, ...]] = [
        (_named(row), *(_figure(row.by_category.get(name)) for name in names))
        for row in results.rows
        if row.by_category
    ]
    columns: list[Column | str] = ["Metric", *(Column(name or "(none)", is_number=True) for name in names)]
    return table("Figures of each category, and over how many clips", columns, rows, sortable=True)


def _figure(estimate: Estimate | None) -> Cell:
    if estimate is None or estimate.value is None:
        return Cell("–", None)
    return Cell(f"{number_text(estimate.value)} ({estimate.num_clips})", estimate.value)


def _paired(paired: Sequence[PairedRow]) -> Html:
    rows = [
        (
            row.name,
            Cell(number_text(row.difference.value), row.difference.value),
            interval(row.difference),
            Cell(count_text(row.difference.num_clips), row.difference.num_clips),
            Cell(percent_text(row.share_better), row.share_better),
            _BETTER[row.direction],
            "yes" if row.is_certain else "no",
        )
        for row in paired
    ]
    columns: list[Column | str] = [
        "Measure",
        Column("Difference", is_number=True),
        "95 % interval",
        Column("Pairs", is_number=True),
        Column("Share better", is_number=True),
        "Better",
        "Interval leaves 0 out",
    ]
    return table("This evaluation minus the other, clip by clip", columns, rows, sortable=True)


def _missing(results: Results) -> Html:
    found: dict[tuple[str, int], list[str]] = {}
    for row in results.rows:
        for reason, count in row.reasons.items():
            found.setdefault((reason, count), []).append(row.name)
    if not found:
        return note("Every clip has a value of every metric.")
    rows = [
        (stranger(reason, 300), Cell(f"{count} of {len(results.clips)}", count), ", ".join(names))
        for (reason, count), names in found.items()
    ]
    return table("Why clips have no value", ["Reason", Column("Clips", is_number=True), "Metrics"], rows, sortable=True)


def _clips(results: Results, shown: Mapping[int, ShownClip]) -> Html:
    if not shown:
        return note("No clip can be played.")
    all_of = len(shown) == sum(clip.path != "" and bool(clip.scores) for clip in results.clips)
    which = None if all_of else element("p", "Of each metric the worst and the best clips.", class_="soft")
    cards = (clip_card(results.clips[index], one) for index, one in shown.items())
    return joined(which, element("div", cards, class_="grid wide"))


def _all_clips(results: Results) -> Html:
    names = [row.name for row in results.rows if any(row.name in clip.scores for clip in results.clips)]
    rows: list[tuple[Content | Cell, ...]] = [
        (stranger(clip.id, 80), clip.category, *(_value(clip, name) for name in names))
        for clip in results.clips[:_MOST_LISTED]
    ]
    columns: list[Column | str] = ["Clip", "Category", *(Column(name, is_number=True) for name in names)]
    left = len(results.clips) - len(rows)
    more = note(f"{count_text(left)} more clips stand in clips.csv.") if left > 0 else None
    return joined(table("Scores of all clips", columns, rows, sortable=True), more)


def _value(clip: ClipRow, name: str) -> Cell:
    value = clip.scores.get(name)
    return Cell(number_text(value), value)


def _named(row: Row) -> str:
    return f"{row.name} ({row.unit})" if row.unit else row.name
