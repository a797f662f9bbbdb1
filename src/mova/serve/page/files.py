"""The files of the page, as the application of the server takes them."""

from __future__ import annotations

from collections.abc import Mapping

from mova.serve.api.app import PageFile
from mova.serve.page.page import ICON, ICON_PATH, PAGE_HEADERS, studio_page


def page_files() -> Mapping[str, PageFile]:
    """Return the page and its icon, by path."""
    return {"/": PageFile(studio_page(), headers=PAGE_HEADERS), ICON_PATH: PageFile(ICON, "image/svg+xml")}
