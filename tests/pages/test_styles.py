"""The style sheet: readable in both schemes, whatever a screen is set to."""

import re

import pytest

from mova.pages.styles import PAGE_STYLE

NAMES = re.compile(r"--([a-z-]+):\s*(#[0-9a-f]{6})")
LIGHT, _, REST = PAGE_STYLE.partition("@media (prefers-color-scheme: dark)")
SCHEMES = {"light": dict(NAMES.findall(LIGHT)), "dark": dict(NAMES.findall(REST))}
TEXTS = [
    *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("ground", "card")),
    ("ink", "quiet"),
    ("threshold", "card"),
    *((tone, f"{tone}-ground") for tone in ("good", "bad", "warning")),
]
SHAPES = [(shape, "card") for shape in ("bar", "bar-out", "good", "bad", "warning")]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXTS)
def test_text_stands_out_from_its_ground_as_wcag_asks(scheme, ink, ground):
    colours = SCHEMES[scheme]
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_shapes_stand_out_too(scheme, shape, ground):
    colours = SCHEMES[scheme]
    assert contrast(colours[shape], colours[ground]) >= 3


def test_both_schemes_have_the_same_colours_and_none_is_used_that_is_not_there():
    assert set(SCHEMES["light"]) == set(SCHEMES["dark"])
    used = set(re.findall(r"var\(--([a-z-]+)", PAGE_STYLE))
    assert used - {"least"} <= set(SCHEMES["light"])


def test_nothing_is_loaded():
    assert "url(" not in PAGE_STYLE
    assert "@import" not in PAGE_STYLE
