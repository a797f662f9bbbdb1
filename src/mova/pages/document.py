"""A whole page: head, policy, style, way around, contents."""

from __future__ import annotations

from collections.abc import Sequence

from mova.pages.html import Content, element, fragment, verbatim
from mova.pages.parts import section
from mova.pages.scripts import PAGE_SCRIPT
from mova.pages.security import file_policy, server_policy
from mova.pages.styles import PAGE_STYLE

PAGE_HEADER_POLICY = server_policy([PAGE_STYLE], [PAGE_SCRIPT])
"""`Content-Security-Policy` of a server that gives pages of `document`."""


def document(
    title: str,
    lead: Content,
    sections: Sequence[tuple[str, str, Content]],
    *,
    top: Content = None,
    foot: Content = None,
    language: str = "en",
) -> str:
    """Return a page that needs nothing but the videos beside it, as text for a file in UTF-8.

    Args:
        title: of the page.
        lead: one sentence below it.
        sections: name of the place, heading and contents of each.
        top: what stands above the sections.
        foot: what stands below them.
        language: of its text, as in BCP 47.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=file_policy([PAGE_STYLE], [PAGE_SCRIPT])),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        verbatim("style", PAGE_STYLE),
    )
    ways = (element("li", element("a", heading, href=fragment(name))) for name, heading, _ in sections)
    body = element(
        "body",
        element("a", "Skip to the contents", href=fragment("contents"), class_="skip"),
        element(
            "header",
            element("h1", title),
            element("p", lead, class_="lead"),
            element("nav", element("ul", ways), aria_label="Sections"),
        ),
        element("main", top, (section(*one) for one in sections), id="contents"),
        element("footer", foot) if foot is not None else None,
        verbatim("script", PAGE_SCRIPT),
    )
    return f"<!doctype html>\n{element('html', head, body, lang=language).markup}\n"
