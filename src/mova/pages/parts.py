"""Small parts of a page: sections, badges, lists of facts, notes, texts that fold, and the player."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from mova.pages.html import Content, Html, Url, element


class Tone(StrEnum):
    """What a badge or a bar says by its colour; it is said in words too."""

    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"
    PLAIN = "plain"


def section(name: str, heading: str, *children: Content) -> Html:
    """Return a section of the page.

    Args:
        name: of the place, for links to it.
        heading: its title.
        children: what it holds.
    """
    return element(
        "section", element("h2", heading, id=f"{name}-heading"), *children, id=name, aria_labelledby=f"{name}-heading"
    )


def badge(text: str, tone: Tone = Tone.PLAIN) -> Html:
    """Return a short text in a frame."""
    return element("span", text, class_=f"badge {tone}")


def facts(rows: Iterable[tuple[str, Content]]) -> Html:
    """Return names with what they are."""
    return element(
        "dl", (element("div", element("dt", name), element("dd", value)) for name, value in rows), class_="facts"
    )


def note(*children: Content, tone: Tone = Tone.PLAIN) -> Html:
    """Return a paragraph that stands out."""
    return element("p", *children, class_=f"note {tone}")


def folded(summary: Content, *children: Content, is_open: bool = False) -> Html:
    """Return something that is shown on demand."""
    return element("details", element("summary", summary), *children, open=is_open)


def tile(value: str, label: str, detail: Content = None) -> Html:
    """Return a figure that is read at first sight, with what it is."""
    return element(
        "div",
        element("span", label, class_="label"),
        element("strong", value),
        element("span", detail, class_="detail") if detail is not None else None,
        class_="tile",
    )


def video_player(address: Url, label: str, *, poster: Url | None = None) -> Html:
    """Return a player of a video with its audio.

    Its first frame is shown at once; the rest is loaded when somebody plays it.

    Args:
        address: of the file.
        label: what it shows, for screen readers.
        poster: an image instead of the first frame.
    """
    return element(
        "video", src=address, controls=True, preload="metadata", playsinline=True, poster=poster, aria_label=label
    )
