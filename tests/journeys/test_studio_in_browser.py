"""The page of a server in a browser: from an empty page to a playing clip, and whatever may come between."""

import pytest

from fixtures_browser import DESK
from mova.serve.page.words import WORDS
from studio_kit import KNOWN, MODEL, Studio, complaints, describe, faults, foreign, has, opened, says, until

pytestmark = pytest.mark.services


def test_from_an_empty_page_to_a_playing_clip(visit, quick):
    seen = opened(visit, quick)
    page = seen.page
    until(page, says(page, "#clip", "Describe a scene"))
    describe(page)
    until(page, says(page, "#plan", "Takes about"))
    page.click("#send")
    until(page, has(page, "#clip .strips .spectrum canvas"), "a player with its strips")
    assert page.locator("#clip svg.timeline .wave").count() == 1
    page.evaluate("document.querySelector('#clip video').play().then(() => undefined)")
    until(page, lambda: page.evaluate("document.querySelector('#clip video').currentTime") > 0)
    page.click("#clip .steps button >> nth=1")
    assert page.evaluate("document.querySelector('#clip video').paused")
    assert page.locator("#gallery-list li").count() == 1
    until(page, lambda: page.evaluate("document.querySelector('#gallery-list img').naturalWidth") > 0)
    (clip,) = quick.clips()
    assert clip["file_path"] in page.locator("#clip .where").inner_text()
    assert (complaints(seen), foreign(seen, quick)) == ([], [])


def test_the_page_is_loaded_again_in_the_middle(visit, slow):
    seen = opened(visit, slow)
    page = seen.page
    describe(page)
    page.click("#send")
    until(page, says(page, "#clip-view", "step "))
    page.fill("#prompt", "a draft that is not sent yet")
    page.reload()
    page.wait_for_selector("#studio:not([hidden])")
    assert page.locator("#prompt").input_value() == "a draft that is not sent yet"
    until(page, says(page, "#clip-view", "step "))
    until(page, has(page, "#clip .player"))
    assert len(slow.clips()) == 1
    assert complaints(seen) == []


def test_the_server_dies_in_the_middle_and_comes_back(visit, tmp_path):
    studio = Studio(tmp_path, step_s=0.3, settings={"worker.lease_s": 5})
    try:
        studio.wait_ready()
        page = opened(visit, studio).page
        describe(page)
        page.click("#send")
        until(page, says(page, "#clip-view", "step "))
        studio.kill()
        until(page, says(page, "#notice", "does not answer"))
        describe(page, "a blue ball bounces on a wooden floor")
        page.click("#send")
        page.wait_for_timeout(300)
        studio.start()
        until(page, lambda: not page.locator("#notice").is_visible(), "an answer")
        until(page, lambda: page.locator("#gallery-list li").count() == 2, "both clips", 120)
        assert sorted((clip["status"], clip["prompt"].split()[1]) for clip in studio.clips()) == [
            ("completed", "blue"),
            ("completed", "red"),
        ]
        assert studio.end() == 0, "a server ends while a page listens"
    finally:
        studio.stop()


def test_by_keyboard_alone(visit, quick):
    page = opened(visit, quick).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.id") != "prompt":
        page.focus("#prompt")
    page.keyboard.type(KNOWN)
    page.keyboard.press("Control+Enter")
    until(page, lambda: has(page, "#clip .player")() or has(page, "#keep")())
    if has(page, "#keep")():
        page.focus("#keep")
        page.keyboard.press("Enter")
        until(page, has(page, "#clip .player"))
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(document.activeElement.dataset.w ?? '') + '#' + document.activeElement.id"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement.tagName") in ("BODY", "INPUT", "VIDEO")
    assert {"make_clip#send", "again#", "delete#", "enhance#enhance", "#language", "#search"} <= seen


PHONE = (360, 780)
LOOKS = {
    "light": (DESK, {}),
    "dark": (DESK, {"color_scheme": "dark"}),
    "phone": (PHONE, {"has_touch": True}),
    "chinese": (PHONE, {"locale": "zh-CN", "color_scheme": "dark", "reduced_motion": "reduce"}),
}


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_serious_is_found(visit, quick, look):
    quick.call("POST", "v1/queue/pause")
    size, options = LOOKS[look]
    seen = opened(visit, quick, size, **options)
    page = seen.page
    empty = faults(page)
    page.fill("#prompt", "a red ball hops")
    page.evaluate("document.getElementById('more').open = true")
    page.click("#enhance")
    until(page, has(page, "#accept"))
    quick.call("POST", "v1/videos", {"prompt": "a red ball bounces"})
    until(page, lambda: page.locator("#queue-list li").count() == 1)
    page.click("#queue-list [data-name=edit]")
    waiting = faults(page)
    page.click("#pause")
    until(page, has(page, "#gallery-list li"))
    page.click("#gallery-list .card")
    until(page, has(page, "#clip .strips svg"))
    assert (empty, waiting, faults(page), complaints(seen)) == ([], [], [], [])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chinese = look == "chinese"
    assert page.evaluate("document.documentElement.lang") == ("zh-Hans" if chinese else "en")
    assert page.locator("#send").inner_text() == WORDS["make_clip"][chinese]
    page.select_option("#language", "en" if chinese else "zh")
    assert page.locator("#send").inner_text() == WORDS["make_clip"][not chinese]
    page.reload()
    page.wait_for_selector("#studio:not([hidden])")
    assert page.locator("#send").inner_text() == WORDS["make_clip"][not chinese]


@pytest.mark.slow
def test_with_the_shipped_model(visit, tmp_path):
    studio = Studio(tmp_path, MODEL)
    try:
        studio.wait_ready()
        seen = opened(visit, studio)
        page = seen.page
        page.fill("#prompt", "a red ball jumps up and down on wood")
        page.click("#send")
        until(page, has(page, "#accept"))
        page.click("#accept")
        until(page, has(page, "#clip .forming img"), "a preview that forms", 120)
        until(page, says(page, "#clip-view", "left"))
        until(page, has(page, "#clip .spectrum canvas"), "a clip", 240)
        page.evaluate("document.querySelector('#clip video').play().then(() => undefined)")
        until(page, lambda: page.evaluate("document.querySelector('#clip video').currentTime") > 0.5)
        page.click("#clip [data-w=new_sound]")
        until(page, lambda: page.locator("#gallery-list li").count() == 2, "the same with another sound", 240)
        assert studio.clips()[0]["inputs"] == ["video"]
        assert (complaints(seen), foreign(seen, studio)) == ([], [])
    finally:
        studio.stop()
