"""A better wording: shown, taken, edited, undone and left."""

import pytest

from studio_kit import complaints, has, opened, says, until

pytestmark = pytest.mark.services


def test_a_wording_is_improved_accepted_undone_and_left(visit, quick):
    seen = opened(visit, quick)
    page = seen.page
    page.fill("#prompt", "a red ball hops on wood like crazy")
    until(page, says(page, "#prompt-note", "hops"))
    page.click("#enhance")
    until(page, has(page, "#accept"))
    assert "crazy" in page.locator("#suggestion").inner_text(), "what cannot be shown is said"
    page.click("#accept")
    improved = page.locator("#prompt").input_value()
    assert "ball" in improved
    assert "crazy" not in improved
    until(page, has(page, "#image-shown canvas"))
    page.click("#undo")
    assert page.locator("#prompt").input_value() == "a red ball hops on wood like crazy"
    page.click("#image-remove")
    page.click("#send")
    until(page, has(page, "#keep"), "a suggestion before the clip is made")
    page.fill("#suggested", "a red ball bounces on a wooden floor.")
    page.click("#accept")
    until(page, has(page, "#clip .player"))
    (clip,) = quick.clips()
    assert clip["prompt"] == "a red ball bounces on a wooden floor."
    assert clip["enhancement"]["original"] == "a red ball hops on wood like crazy"
    assert clip["inputs"] == ["image"]
    page.fill("#prompt", "a red ball bounces on a wooden floor, twice.")
    assert "edited" in page.locator("#enhance-state").inner_text()
    page.fill("#prompt", "a green ball hops")
    assert not page.locator("#undo").is_visible(), "a text that was written anew was not improved"
    page.click("#send")
    until(page, has(page, "#keep"))
    page.click("#keep")
    until(page, lambda: len(quick.clips()) == 2)
    assert quick.clips()[0]["prompt"] == "a green ball hops"
    assert complaints(seen) == []
