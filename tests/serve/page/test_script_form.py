"""The form: what is refused is said beside its field, and choices are those of the model."""

import pytest

from studio_kit import describe, opened, says, until

pytestmark = pytest.mark.services


def test_what_the_server_refuses_is_said_beside_the_field(visit, quick):
    page = opened(visit, quick).page
    describe(page, more=True)
    page.select_option("#size", "")
    page.fill("#size-other", "100x100")
    until(page, lambda: page.locator("#size-error").is_visible())
    page.select_option("#language", "zh")
    assert page.locator("#size-other").input_value() == "100x100", "a choice outlives the language"
    page.select_option("#language", "en")
    page.fill("#size-other", "128x128")
    until(page, lambda: not page.locator("#size-error").is_visible())
    page.fill("#seed", "-4")
    page.click("#send")
    until(page, lambda: page.locator("#seed-error").is_visible())
    assert page.locator("#seed").get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "seed"
    assert "0" in page.locator("#seed-error").inner_text()
    page.fill("#prompt", " ")
    page.click("#send")
    until(page, lambda: page.locator("#prompt-error").is_visible())
    assert quick.clips() == []


def test_a_model_of_another_size(visit, quick):
    """The form follows what the server says of its model, and what is not known of the time is said."""
    said = quick.call("GET", "v1/models")
    (model,) = said["data"]
    model["defaults"] |= {"size": "1280x720", "num_frames": 193, "guidance_scale": 5.0, "negative_prompt": "blur"}
    model["limits"]["max_frames_at_once"] = 193
    model["scope"] = {"words": [], "scenes": [], "sizes": [], "num_frames": [], "frame_rates": []}
    seen = visit("about:blank")
    page = seen.page
    page.route("**/v1/models", lambda route: route.fulfill(json=said))
    page.route("**/v1/plan*", lambda route: route.fulfill(json={"estimated_s": None, "warnings": []}))
    page.goto(quick.address)
    page.wait_for_selector("#studio:not([hidden])")
    sizes = page.locator("#size option").all_inner_texts()
    assert sizes == ["1280 × 720", "720 × 1280", "720 × 720", "640 × 368", "Other ..."]
    lengths = page.locator("#length option").all_inner_texts()
    assert lengths == [
        "2.04 s · 49 frames",
        "4.04 s · 97 frames",
        "8.04 s · 193 frames",
        "16.04 s · 385 frames, part by part",
        "Other ...",
    ]
    assert page.locator("#guidance").input_value() == "5"
    assert page.locator("#negative").input_value() == "blur"
    assert not page.locator("#first").is_checked()
    until(page, says(page, "#plan", "after a first clip"))
