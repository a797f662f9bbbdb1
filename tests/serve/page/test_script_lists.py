"""The queue and the gallery."""

import pytest

from studio_kit import complaints, opened, says, until

pytestmark = pytest.mark.services


def test_the_queue_is_put_in_another_order_held_edited_and_paused(visit, slow):
    seen = opened(visit, slow)
    page = seen.page
    slow.call("POST", "v1/queue/pause")
    for colour in ("red", "blue", "green"):
        slow.call("POST", "v1/videos", {"prompt": f"a {colour} ball bounces", "seed": 1})
    rows = page.locator("#queue-list li")
    until(page, lambda: rows.count() == 3)
    until(page, says(page, "#queue-note", "paused"))

    def order():
        return [text.split()[1] for text in page.locator("#queue-list bdi").all_inner_texts()]

    row = page.locator("#queue-list li", has_text="green ball")
    row.locator("[data-name=up]").click()
    until(page, lambda: order() == ["red", "green", "blue"])
    assert page.evaluate("document.activeElement.dataset.name") == "up", "focus stays where it was"
    row.locator("[data-name=down]").click()
    until(page, lambda: order() == ["red", "blue", "green"])
    row.locator("[data-name=edit]").click()
    row.locator("textarea").fill("a white ball bounces")
    row.locator("[data-w=save]").click()
    row = page.locator("#queue-list li", has_text="white ball")
    until(page, lambda: row.count() == 1)
    row.locator("[data-name=hold]").click()
    until(page, lambda: "held" in row.inner_text())
    row.locator("[data-name=duplicate]").click()
    until(page, lambda: rows.count() == 4)
    page.locator("#queue-list li", has_text="red ball").locator("[data-name=cancel]").click()
    until(page, lambda: rows.count() == 3)
    page.click("#pause")
    until(page, lambda: rows.count() == 1, "only the one that is held", 90)
    row.locator("[data-name=release]").click()
    until(page, lambda: rows.count() == 0)
    states = sorted((clip["prompt"].split()[1], clip["state"]) for clip in slow.clips())
    assert states == [("blue", "completed"), ("red", "cancelled"), ("white", "completed"), ("white", "completed")]
    assert complaints(seen) == []


def test_clips_are_searched(visit, quick):
    for colour in ("red", "blue"):
        quick.call("POST", "v1/videos", {"prompt": f"a {colour} ball bounces", "seed": 1})
    page = opened(visit, quick).page
    until(page, lambda: page.locator("#gallery-list li").count() == 2)
    page.fill("#search", "blue")
    until(page, lambda: page.locator("#gallery-list li").count() == 1)
    page.click("#gallery-list .card")
    until(page, says(page, "#clip", "a blue ball"))
    page.fill("#search", "elephant")
    until(page, says(page, "#gallery-note", "No clip"))
