"""A chart of values with their intervals, one row each, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mova.pages.formats import near_text
from mova.pages.html import Html, element

_WIDTH: Final = 640
_NAMES: Final = 170
_ROW: Final = 30
_FOOT: Final = 22
_LETTERS: Final = 22


@dataclass(frozen=True)
class Interval:
    """A row of the chart.

    Attributes:
        label: what it is.
        value: of it.
        low, high: ends of its interval; None where it has none.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def interval_chart(title: str, rows: Sequence[Interval]) -> Html:
    """Return a chart with a point for each value and a bar for its interval.

    Args:
        title: what the values are.
        rows: at least one, from top to bottom.

    Raises:
        ValueError: there is none.
    """
    if not rows:
        raise ValueError("a chart of intervals needs a row")
    known = [one for row in rows for one in (row.value, row.low, row.high) if one is not None]
    low, high = min(known), max(known)
    room = (high - low) * 0.04 or 1.0
    low, high = low - room, high + room
    foot = len(rows) * _ROW

    def place(value: float) -> float:
        return round(_NAMES + (value - low) / (high - low) * (_WIDTH - _NAMES - 8), 2)

    drawn = []
    for number, row in enumerate(rows):
        middle = number * _ROW + _ROW / 2
        label = row.label if len(row.label) <= _LETTERS else row.label[: _LETTERS - 3] + "..."
        drawn.append(element("text", label, x=0, y=middle + 4, class_="tick"))
        drawn.append(element("line", x1=_NAMES, y1=middle, x2=_WIDTH - 8, y2=middle, class_="axis"))
        if row.low is not None and row.high is not None:
            width = max(1.0, round(place(row.high) - place(row.low), 2))
            drawn.append(element("rect", x=place(row.low), y=middle - 2, width=width, height=4, class_="bar"))
        drawn.append(element("circle", cx=place(row.value), cy=middle, r=5.5, class_="mark"))
    ticks = [
        element("text", near_text(value, high - low), x=place(value), y=foot + 14, class_="tick", text_anchor=anchor)
        for value, anchor in ((low + room, "start"), ((low + high) / 2, "middle"), (high - room, "end"))
    ]
    return element(
        "svg",
        drawn,
        ticks,
        viewBox=f"0 0 {_WIDTH} {foot + _FOOT}",
        role="img",
        aria_label=f"{title}: {'; '.join(_in_words(row, high - low) for row in rows)}.",
    )


def _in_words(row: Interval, span: float) -> str:
    words = f"{row.label} {near_text(row.value, span)}"
    if row.low is None or row.high is None:
        return f"{words}, no interval"
    return f"{words}, {near_text(row.low, span)} to {near_text(row.high, span)}"
