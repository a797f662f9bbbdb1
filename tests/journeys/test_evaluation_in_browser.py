"""The report of an evaluation in a browser: clips play, step by frame, and nothing is asked of anybody."""

import re

import pytest

from evaluated_clips import write_clips
from fixtures_browser import PHONE
from mova.cli.app import main

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    write_clips(folder / "clips", 2, seconds=1.0)
    command = ["evaluate", str(folder / "clips"), "--metrics", "levels,av_align", "--report", str(folder / "report")]
    assert main(command) == 0
    return folder / "report" / "report.html"


def test_frames_are_stepped_and_strips_lead_through_the_clip(report, visit):
    from playwright.sync_api import expect

    page = (made := visit(report)).page
    player = page.locator(".player").first
    said = player.locator("output")
    expect(said).to_have_text("0.00 s, frame 0")
    for frame in (1, 2, 3):
        player.get_by_label("Next frame").click()
        expect(said).to_have_text(re.compile(f"frame {frame}$"))
    player.get_by_label("Previous frame").click()
    expect(said).to_have_text(re.compile("frame 2$"))
    page.keyboard.press(".")
    expect(said).to_have_text(re.compile("frame 3$"))
    strip = player.locator("svg.timeline").first
    strip.click(position={"x": strip.bounding_box()["width"] / 2, "y": 5})
    expect(said).to_have_text(re.compile("^0.5. s, frame 1[12]$"))
    assert player.locator("svg.timeline image").bounding_box()["width"] > 100
    assert made.complaints == []
    assert all(url.startswith("file:") for url in made.requests)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_everybody_can_read_it(report, visit, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(report, PHONE, color_scheme=scheme).page
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], "it scrolls sideways"
