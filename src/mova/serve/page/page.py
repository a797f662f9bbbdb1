"""The page as a whole, and the headers that it is given with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mova.pages.html import Html, element, fragment, relative_url, verbatim
from mova.pages.security import SECURITY_HEADERS, server_policy
from mova.pages.styles import PAGE_STYLE
from mova.serve.api.app import PageFile
from mova.serve.page.form import making
from mova.serve.page.script import SCRIPT
from mova.serve.page.style import STUDIO_STYLE
from mova.serve.page.words import ENGLISH, said

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": server_policy([PAGE_STYLE, STUDIO_STYLE], [SCRIPT]),
    # The page itself, and nobody inside of it, may ask for the camera.
    "Permissions-Policy": SECURITY_HEADERS["Permissions-Policy"].replace("camera=()", "camera=(self)"),
}
"""Headers of the page, in place of those of other replies of the server."""

ICON_PATH: Final = "/icon.svg"
ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#2355b8"/>'
    '<path d="M9 8v16l9-8z" fill="#fff"/><path d="M21 12v8M25 9v14" stroke="#fff" stroke-width="2.5" '
    'stroke-linecap="round"/></svg>'
)
"""Icon of the page, of type `image/svg+xml`, to be given at `ICON_PATH`."""


def page_files() -> Mapping[str, PageFile]:
    """Return the page and its icon, by path, as the application of the server takes them."""
    return {"/": PageFile(studio_page(), headers=PAGE_HEADERS), ICON_PATH: PageFile(ICON, "image/svg+xml")}


def studio_page() -> str:
    """Return the page as text in UTF-8; it asks the server for everything else."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href=relative_url(ICON_PATH.removeprefix("/")), type="image/svg+xml"),
        element("title", "mova"),
        verbatim("style", PAGE_STYLE),
        verbatim("style", STUDIO_STYLE),
    )
    body = element(
        "body",
        said("a", "skip", href=fragment("prompt"), class_="skip"),
        _top(),
        element(
            "main",
            element("p", id="notice", class_="note warning", role="status", hidden=True),
            # Seen until the script has begun, and for good where none runs.
            said("p", "starting", id="starting", class_="soft"),
            _door(),
            element(
                "div",
                making(),
                element("div", _clip(), _queue(), _gallery(), class_="results"),
                id="studio",
                class_="studio",
                hidden=True,
            ),
            id="contents",
        ),
        element(
            "footer",
            element(
                "p",
                said("a", "api", href=relative_url("openapi.json")),
                said("button", "sign_out", type="button", id="sign-out", class_="plain", hidden=True),
                class_="row",
            ),
        ),
        # What is to be heard and not to be seen twice: few sentences, one at a time.
        element("p", id="announced", class_="unseen", role="status"),
        verbatim("script", SCRIPT),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en').markup}\n"


def _top() -> Html:
    return element(
        "header",
        element("h1", "mova"),
        element("p", id="model", class_="soft"),
        element("p", element("span", id="server", class_="badge")),
        element(
            "nav",
            element(
                "ul",
                element("li", said("a", "make", href=fragment("make"))),
                element("li", said("a", "queue", href=fragment("queue"))),
                element("li", said("a", "clips", href=fragment("gallery"))),
            ),
            aria_label=ENGLISH["sections"],
            data_label="sections",
        ),
        element(
            "select",
            element("option", "English", value="en", lang="en"),
            element("option", "中文", value="zh", lang="zh"),
            id="language",
            aria_label=ENGLISH["language"],
            data_label="language",
        ),
        class_="top",
    )


def _door() -> Html:
    return element(
        "section",
        said("h2", "key_heading", id="door-heading"),
        said("p", "key_lead"),
        element(
            "form",
            said("label", "key", for_="key"),
            # Without a name beside it, browsers do not offer to keep the key.
            element("input", type="text", autocomplete="username", value="mova", readonly=True, hidden=True),
            element(
                "input",
                type="password",
                id="key",
                autocomplete="current-password",
                aria_describedby="key-error",
                required=True,
            ),
            element("p", id="key-error", class_="error", hidden=True),
            element("div", said("button", "enter", type="submit", class_="primary"), class_="act"),
            id="key-form",
            novalidate=True,
        ),
        id="door",
        aria_labelledby="door-heading",
        hidden=True,
    )


def _clip() -> Html:
    return element(
        "section",
        said("h2", "clip", id="clip-heading", tabindex="-1"),
        element("div", id="clip-view"),
        id="clip",
        aria_labelledby="clip-heading",
    )


def _queue() -> Html:
    return element(
        "section",
        element(
            "div",
            said("h2", "queue", id="queue-heading"),
            said("button", "pause", type="button", id="pause", hidden=True),
            class_="between",
        ),
        element("p", id="queue-note", class_="soft"),
        element("ol", id="queue-list", class_="queue"),
        id="queue",
        aria_labelledby="queue-heading",
    )


def _gallery() -> Html:
    return element(
        "section",
        element(
            "div",
            said("h2", "clips", id="gallery-heading"),
            element(
                "input",
                type="search",
                id="search",
                autocomplete="off",
                aria_label=ENGLISH["search"],
                data_label="search",
                placeholder=ENGLISH["search"],
                data_placeholder="search",
            ),
            class_="between",
        ),
        element("p", id="gallery-note", class_="soft"),
        element("ul", id="gallery-list", class_="gallery"),
        said("button", "load_more", type="button", id="load-more", hidden=True),
        id="gallery",
        aria_labelledby="gallery-heading",
    )
