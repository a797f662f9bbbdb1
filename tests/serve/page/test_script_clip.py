"""The clip that is looked at."""

import pytest

from studio_kit import KNOWN, describe, has, opened, says, until

pytestmark = pytest.mark.services


def test_buttons_of_a_finished_clip(visit, quick):
    seen = opened(visit, quick)
    page = seen.page
    describe(page, more=True)
    page.fill("#seed", "7")
    page.click("#send")
    until(page, has(page, "#clip [data-w=again]"))
    page.click("#clip [data-w=again]")
    until(page, lambda: page.locator("#gallery-list li").count() == 2, "two clips")
    assert sorted(clip["seed"] == 7 for clip in quick.clips()) == [False, True]
    page.click("#gallery-list li:last-child .card")
    page.click("#clip [data-w=use_settings]")
    assert page.locator("#seed").input_value() == "7"
    with page.expect_download() as download:
        page.click("#clip [data-w=download]")
    assert download.value.suggested_filename.endswith(".mp4")
    for key, part in (("new_sound", "video"), ("new_image", "audio")):
        with page.expect_request("**/v1/videos") as sent:
            page.click(f"#clip [data-w={key}]")
        assert sent.value.post_data_json[part] == {"video_id": quick.clips()[-1]["id"], "part": part}
        # The clips of the stand-in are too short for it, which is said.
        until(page, lambda: page.locator("#notice").is_visible())
    for key, address, field in (("extend", "extensions", "seconds"), ("edit_part", "edits", "retake")):
        page.click(f"#clip [data-w={key}]")
        with page.expect_request(f"**/v1/videos/{address}") as sent:
            page.click("#clip .task [data-w=make_clip]")
        said = sent.value.post_data_json
        assert (said["video"]["id"], said["prompt"]) == (quick.clips()[-1]["id"], KNOWN)
        assert said[field]
        until(page, lambda: page.locator("#task-error").is_visible())
    page.click("#clip .task [data-w=close]")
    page.click("#clip [data-w=delete]")
    until(page, lambda: page.locator("#gallery-list li").count() == 1)
    assert len(quick.clips()) == 1


def test_a_clip_is_cancelled(visit, slow):
    page = opened(visit, slow).page
    describe(page)
    page.click("#send")
    until(page, says(page, "#clip-view", "step "))
    page.click("#clip-view [data-w=cancel]")
    until(page, says(page, "#clip-view", "was cancelled"))
    assert slow.clips()[0]["error"]["code"] == "cancelled"
