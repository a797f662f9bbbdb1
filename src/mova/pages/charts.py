"""Charts as inline SVG: each says in words what it shows."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mova.pages.formats import count_text, near_text, number_text, percent_text
from mova.pages.html import Html, element, joined
from mova.pages.parts import Tone

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 360, 150, 22, 18


@dataclass(frozen=True)
class Line:
    """A threshold in a histogram.

    Attributes:
        value: where it stands.
        keeps_above: whether values above it are kept; else those below.
        label: of the line, short.
    """

    value: float
    keeps_above: bool
    label: str


@dataclass(frozen=True)
class Segment:
    """A part of a bar.

    Attributes:
        label: what it is.
        number: how many.
        tone: its colour.
    """

    label: str
    number: int
    tone: Tone


def histogram(title: str, edges: Sequence[float], counts: Sequence[int], lines: Sequence[Line] = ()) -> Html:
    """Return a histogram.

    Args:
        title: what is counted, with its unit.
        edges: of the bins, ascending; one more than bins.
        counts: of each bin.
        lines: thresholds; bins that lie wholly on their far side have another colour.

    Raises:
        ValueError: there is no bin, or edges do not fit them.
    """
    if not counts or len(edges) != len(counts) + 1 or any(b <= a for a, b in pairwise(edges)):
        raise ValueError(f"a histogram needs ascending edges, one more than bins; got {len(edges)} and {len(counts)}")
    low, high = edges[0], edges[-1]
    tallest = max(*counts, 1)
    room = _HEIGHT - _TOP - _BOTTOM

    def place(value: float) -> float:
        return round((min(max(value, low), high) - low) / (high - low) * _WIDTH, 2)

    bars = []
    for left, right, number in zip(edges, edges[1:], counts, strict=False):
        if number:
            height = max(1.0, round(number / tallest * room, 2))
            is_out = any(right <= line.value if line.keeps_above else left >= line.value for line in lines)
            bars.append(
                element(
                    "rect",
                    element("title", f"{number_text(left)} to {number_text(right)}: {count_text(number)}"),
                    x=place(left),
                    y=round(_HEIGHT - _BOTTOM - height, 2),
                    width=max(0.5, round(place(right) - place(left) - 0.8, 2)),
                    height=height,
                    class_="bar out" if is_out else "bar",
                )
            )
    axis = element("line", x1=0, y1=_HEIGHT - _BOTTOM, x2=_WIDTH, y2=_HEIGHT - _BOTTOM, class_="axis")
    ends = [
        element("text", near_text(low, high - low), x=0, y=_HEIGHT - 4, class_="tick"),
        element(
            "text",
            near_text((low + high) / 2, high - low),
            x=_WIDTH / 2,
            y=_HEIGHT - 4,
            class_="tick",
            text_anchor="middle",
        ),
        element("text", near_text(high, high - low), x=_WIDTH, y=_HEIGHT - 4, class_="tick", text_anchor="end"),
    ]
    drawn = [_line(line, place(line.value)) for line in lines]
    words = _in_words(title, edges, counts, lines)
    return element("svg", bars, axis, ends, drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=words)


def bar(share: float, label: str, tone: Tone = Tone.PLAIN, mark: float | None = None) -> Html:
    """Return a bar of a share in [0, 1].

    Args:
        share: its length.
        label: what it is, in words.
        tone: its colour.
        mark: a share that it is compared with, as a line.
    """
    rows = [
        element("rect", x=0, y=0, width=100, height=10, class_="track"),
        element("rect", x=0, y=0, width=round(100 * min(max(share, 0.0), 1.0), 2), height=10, class_=f"fill {tone}"),
    ]
    if mark is not None:
        rows.append(element("rect", x=round(100 * min(mark, 0.995), 2), y=0, width=0.6, height=10, class_="mark"))
    return _strip(rows, label)


def stacked_bar(segments: Sequence[Segment]) -> Html:
    """Return a bar whose parts are numbers of a whole, with a legend."""
    whole = sum(segment.number for segment in segments)
    rows, left = [element("rect", x=0, y=0, width=100, height=10, class_="track")], 0.0
    for segment in segments:
        width = 100 * segment.number / whole if whole else 0.0
        if segment.number:
            rows.append(
                element("rect", x=round(left, 3), y=0, width=round(width, 3), height=10, class_=f"fill {segment.tone}")
            )
        left += width
    words = ", ".join(f"{segment.label} {count_text(segment.number)}" for segment in segments)
    legend = (
        element(
            "li",
            element("span", class_=f"key {one.tone}", aria_hidden="true"),
            f"{one.label} {count_text(one.number)} ({percent_text(one.number / whole if whole else None)})",
        )
        for one in segments
    )
    return joined(_strip(rows, words), element("ul", legend, class_="legend"))


def _strip(rows: Sequence[Html], label: str) -> Html:
    return element(
        "svg", rows, viewBox="0 0 100 10", preserveAspectRatio="none", role="img", aria_label=label, class_="strip"
    )


def _line(line: Line, x: float) -> Html:
    is_right = x > _WIDTH * 0.6
    return element(
        "g",
        element("line", x1=x, y1=_TOP - 8, x2=x, y2=_HEIGHT - _BOTTOM, class_="threshold"),
        element(
            "text",
            line.label,
            x=x - 4 if is_right else x + 4,
            y=_TOP - 10,
            class_="threshold-label",
            text_anchor="end" if is_right else "start",
        ),
    )


def _in_words(title: str, edges: Sequence[float], counts: Sequence[int], lines: Sequence[Line]) -> str:
    whole = sum(counts)
    peak = max(range(len(counts)), key=counts.__getitem__)
    text = (
        f"Histogram of {title}: {count_text(whole)} values from {number_text(edges[0])} to {number_text(edges[-1])}, "
        f"most of them, {count_text(counts[peak])}, from {number_text(edges[peak])} to {number_text(edges[peak + 1])}."
    )
    for line in lines:
        at = bisect.bisect_right(edges, line.value) - 1
        below = sum(counts[: max(0, at)])
        text += f" Threshold {line.label}: about {percent_text(below / whole if whole else None)} lie below it."
    return text
