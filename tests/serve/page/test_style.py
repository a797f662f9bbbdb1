"""The style of the page: nothing is loaded, nothing moves for those who want it still, colours can be read."""

import re

from mova.pages.styles import PAGE_STYLE
from mova.serve.page.style import STUDIO_STYLE


def colours(style, after):
    """Return the colours by name that stand in a block of a style sheet."""
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style[style.index(after) :].split("}")[0]))


def contrast(one, other):
    def light(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_nothing_is_loaded():
    assert "url(" not in STUDIO_STYLE
    assert "@import" not in STUDIO_STYLE


def test_movement_is_asked_for_first():
    outside = re.sub(r"@media \(prefers-reduced-motion: no-preference\).*", "", STUDIO_STYLE)
    assert "transition" not in outside
    assert "animation" not in outside


def test_buttons_and_edges_can_be_seen_in_light_and_dark():
    for place in (":root {", "@media (prefers-color-scheme: dark)"):
        found = colours(PAGE_STYLE, place) | colours(STUDIO_STYLE, place)
        assert contrast(found["on-accent"], found["accent"]) >= 4.5
        assert contrast(found["edge"], found["card"]) >= 3.0
