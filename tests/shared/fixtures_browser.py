"""Debian's Chromium for tests that look at pages; without it they are skipped, and fail where MOVA_SERVICES is 1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

DESK, PHONE = (1280, 900), (390, 844)


@dataclass
class Visit:
    """A page that was opened, with what it complained of and what it asked for.

    Attributes:
        page: of playwright.
        complaints: of the console, of scripts and of failed requests.
        requests: addresses.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def _failure(request: Request) -> list[str]:
    # Of a video it reads the beginning, and ends the request.
    is_enough = request.resource_type == "media" and request.failure == "net::ERR_ABORTED"
    return [] if is_enough else [f"failed: {request.url}: {request.failure}"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A running browser."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("MOVA_SERVICES") == "1":
            pytest.fail("Chromium is needed here: apt-get install chromium")
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without a sandbox of its own it runs as root, as in containers.
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Open a file, or an address, in a window of its own."""
    contexts = []

    def opened(path: Path | str, size: tuple[int, int] = DESK, **options: Any) -> Visit:
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        # A busy machine is no fault.
        context.set_default_timeout(120_000)
        contexts.append(context)
        made = Visit(context.new_page())
        made.page.on("console", lambda message: made.complaints.append(message.text))
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on("dialog", lambda dialog: made.complaints.append(f"a dialog: {dialog.message}"))
        made.page.on("requestfailed", lambda request: made.complaints.extend(_failure(request)))
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.goto(path.as_uri() if isinstance(path, Path) else path)
        return made

    yield opened
    for context in contexts:
        context.close()
