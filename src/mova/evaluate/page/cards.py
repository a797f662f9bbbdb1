"""A clip of a report: it plays beside its scores and what was followed through it."""

from __future__ import annotations

import numpy as np

from mova.evaluate.page.shown import ShownClip
from mova.evaluate.results.rows import ClipRow
from mova.pages.formats import number_text
from mova.pages.html import Content, Html, element, relative_url, stranger
from mova.pages.parts import badge, facts, folded
from mova.pages.player import clip_player
from mova.pages.timeline import Curve, curve_strip, spectrogram_strip, waveform_strip
from mova.scorers.base import Trace

_RATE = 16_000
_MOST_TAGS = 8


def clip_card(row: ClipRow, shown: ShownClip) -> Html:
    """Return a clip with its scores, and the reasons where there are none.

    Args:
        row: what was found of it.
        shown: what is drawn of it.
    """
    return element(
        "article",
        clip_player(relative_url(shown.path), f"clip {row.id}", frame_rate=shown.frame_rate, strips=_strips(shown))
        if shown.path
        else None,
        element("h3", stranger(row.id, 120)),
        element(
            "div",
            badge(row.category) if row.category else None,
            [badge(tag) for tag in row.tags[:_MOST_TAGS]],
            class_="badges",
        ),
        _prompt(row.prompt),
        folded("Scores", facts((name, number_text(value)) for name, value in row.scores.items()), is_open=True)
        if row.scores
        else None,
        folded(
            f"Not scored: {len(row.reasons)} measures",
            facts((name, stranger(reason, 200)) for name, reason in row.reasons.items()),
        )
        if row.reasons
        else None,
        class_="example",
    )


def _strips(shown: ShownClip) -> Content:
    duration_s = shown.duration_s or 1.0
    drawn: list[Content] = []
    if len(shown.sound):
        drawn.append(waveform_strip(shown.sound, _RATE))
    if shown.spectrogram:
        drawn.append(spectrogram_strip(relative_url(shown.spectrogram), duration_s))
    drawn += [curve_strip(_curve(trace), duration_s) for trace in shown.traces if len(trace.values)]
    return drawn or None


def _curve(trace: Trace) -> Curve:
    times = np.arange(len(trace.values)) * trace.step_s
    return Curve(trace.label, times, trace.values, trace.marks_s)


def _prompt(text: str) -> Content:
    if not text:
        return None
    if len(text) <= 200:
        return element("p", stranger(text))
    return [element("p", stranger(text, 160)), folded("Whole prompt", element("p", stranger(text)))]
