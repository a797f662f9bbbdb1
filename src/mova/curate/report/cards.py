"""Cards of a report: the histogram of a score, and a clip that plays."""

from __future__ import annotations

from collections.abc import Sequence

from mova.curate.records import State
from mova.curate.report.data import Example, ReportData, ScoreSpread
from mova.errors import ConfigError
from mova.pages.charts import histogram
from mova.pages.formats import clock_text, count_text, counted_text, near_text, number_text
from mova.pages.html import Content, Html, element, relative_url, stranger
from mova.pages.parts import Tone, badge, facts, folded, note, video_player
from mova.scorers.base import Direction

_DIRECTIONS = {
    Direction.HIGHER: "higher is better",
    Direction.LOWER: "lower is better",
    Direction.NEITHER: "neither end is better",
}
_MOST_TAGS = 8


def spread_card(spread: ScoreSpread) -> Html:
    """Return the histogram of a score with what it means, and which clips have none."""
    measure = spread.measure
    unit = f" ({measure.unit})" if measure.unit else ""
    span = (spread.most or 0.0) - (spread.least or 0.0)
    least, median, most = (near_text(value, span) for value in (spread.least, spread.median, spread.most))
    numbers = f"{counted_text(spread.num_values, 'clip')}: {least} to {most}, median {median}"
    missing = [
        element("li", stranger(reason, 200), f": {count_text(number)}") for reason, number in spread.absences[:5]
    ]
    more = len(spread.absences) - len(missing)
    return element(
        "figure",
        element("h3", f"{measure.name}{unit}"),
        element("figcaption", measure.meaning.rstrip("."), "; ", _DIRECTIONS[measure.direction], "."),
        histogram(f"{measure.name}{unit}", spread.edges, spread.counts, spread.lines),
        element("p", numbers, class_="detail"),
        folded(
            f"{counted_text(sum(number for _, number in spread.absences), 'clip')} without a value",
            element("ul", missing, element("li", counted_text(more, "more reason")) if more else None),
        )
        if missing
        else None,
    )


def example_card(example: Example, data: ReportData) -> Html:
    """Return a clip that plays, with why it was kept or rejected."""
    gates = {line for gate in data.facts.gates for line in gate.lines}
    ordered = sorted(example.scores, key=lambda name: (name not in gates, name))
    where = f"{_short(example.uri)} at {clock_text(example.start_s)}"
    is_kept = example.state is State.KEPT
    return element(
        "article",
        _player(example, f"{example.state} clip, {where}"),
        element("h3", stranger(_short(example.uri)), f" at {clock_text(example.start_s)}"),
        element(
            "div",
            badge(str(example.state), Tone.GOOD if is_kept else Tone.BAD),
            badge(example.kind.replace("_", " ")),
            [badge(mark, Tone.WARNING) for mark in example.marks[:5]],
            [badge(tag) for tag in example.tags[:_MOST_TAGS]],
            class_="badges",
        ),
        _reasons(example.reasons),
        _caption(example),
        folded(
            "Scores",
            facts((name, number_text(example.scores[name])) for name in ordered),
        )
        if ordered
        else None,
        element("p", element("code", example.clip_id), class_="soft"),
        class_="example",
    )


def _player(example: Example, label: str) -> Html:
    try:
        return video_player(relative_url(example.path), label)
    except ConfigError:
        return note("This clip's file lies outside of the output folder.", tone=Tone.WARNING)


def _reasons(reasons: Sequence[str]) -> Html | None:
    return element("ul", (element("li", stranger(reason, 300)) for reason in reasons[:10])) if reasons else None


def _caption(example: Example) -> Content:
    text = example.captions.get("merged") or next(iter(example.captions.values()), "")
    if not text:
        return None
    if len(text) <= 180:
        return element("p", stranger(text))
    return [element("p", stranger(text, 140)), folded("Whole caption", element("p", stranger(text)))]


def _short(uri: str) -> str:
    name = uri.rstrip("/").rpartition("/")[2] or uri
    return name if len(name) <= 80 else f"{name[:50]} ... {name[-25:]}"
