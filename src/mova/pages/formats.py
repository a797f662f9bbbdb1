"""Numbers as a reader of a page sees them."""

from __future__ import annotations

import math


def count_text(number: int) -> str:
    """Return a whole number with commas: 1,234,567."""
    return f"{number:,}"


def counted_text(number: int, one: str, several: str = "") -> str:
    """Return a whole number with what is counted: "1 source", "1,234 sources".

    Args:
        number: how many.
        one: name of a single one.
        several: name of several; that of one with an s if not given.
    """
    return f"{count_text(number)} {one if number == 1 else several or f'{one}s'}"


def percent_text(share: float | None) -> str:
    """Return a share in [0, 1] with two decimals, "84.57 %"; a dash where it is not known."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.2f} %"


def number_text(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits and no exponent where it is readable; a dash for None."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e7:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.{digits - 1}g}"


def near_text(value: float | None, span: float) -> str:
    """Return a number as exactly as a span asks for: of values from 0 to 100, 0.00004 is 0."""
    if value is None or not math.isfinite(value) or not 0 < span < math.inf:
        return number_text(value)
    rounded = round(value, max(0, 3 - math.floor(math.log10(span))))
    return number_text(rounded + 0.0, 12)


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that suits it: "8.04 s", "12.5 min", "3.2 h"."""
    if seconds < 120:
        return f"{number_text(seconds, 3)} s"
    if seconds < 7200:
        return f"{number_text(seconds / 60, 3)} min"
    return f"{number_text(seconds / 3600, 4)} h"


def clock_text(seconds: float) -> str:
    """Return a place in a video: "1:02:03.5", "2:03.5"."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    rest_text = f"{rest:04.1f}" if round(rest, 1) < 60 else "59.9"
    return f"{hours}:{minutes:02d}:{rest_text}" if hours else f"{minutes}:{rest_text}"
