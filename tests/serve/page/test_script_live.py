"""Changes as they come, what is said aloud, and the key."""

import pytest

from studio_kit import Studio, describe, faults, has, opened, until

pytestmark = pytest.mark.services


def without_events(visit, studio):
    """Open the page of a server whose stream of events does not come."""
    page = visit("about:blank").page
    page.route("**/v1/events", lambda route: route.abort())
    page.goto(studio.address)
    page.wait_for_selector("#studio:not([hidden])")
    return page


def test_without_a_stream_of_events_the_server_is_asked(visit, quick):
    page = without_events(visit, quick)
    describe(page)
    page.click("#send")
    until(page, has(page, "#clip .player"))


def test_a_clip_of_which_the_queue_says_first_comes_into_the_gallery(visit, quick):
    page = without_events(visit, quick)
    quick.call("POST", "v1/queue/pause")
    quick.call("POST", "v1/videos", {"prompt": "a red ball bounces"})
    until(page, has(page, "#queue-list li"))
    quick.call("POST", "v1/queue/resume")
    until(page, has(page, "#gallery-list li"))
    assert page.locator("#queue-list li").count() == 0


@pytest.mark.parametrize("what", ["v1/queue", "v1/videos?*", "v1/videos/video_*"])
def test_a_late_answer_undoes_nothing(visit, slow, what):
    """What was asked for before a clip ended, and is answered after it, no longer holds."""
    page = opened(visit, slow).page
    late = []

    def hold(route):
        if late:
            route.continue_()
        else:
            late.append((route, route.fetch()))

    slow.call("POST", "v1/queue/pause")
    (_, made) = (slow.call("POST", "v1/videos", {"prompt": f"a {colour} ball bounces"}) for colour in ("red", "blue"))
    until(page, lambda: page.locator("#queue-list li").count() == 2)
    page.route(f"**/{what}", hold)
    # The three ways to be asked: a change of the queue, a search, and the address of a clip.
    if "?" in what:
        page.evaluate("document.getElementById('search').dispatchEvent(new Event('input'))")
    elif "_" in what:
        page.evaluate(f"location.hash = '#{made['id']}'")
    slow.call("POST", "v1/queue/resume")
    until(page, lambda: late)
    until(page, lambda: page.locator("#gallery-list li").count() == 2)
    route, reply = late[0]
    route.fulfill(response=reply)
    page.wait_for_timeout(300)
    assert page.locator("#gallery-list li").count() == 2
    assert page.locator("#queue-list li").count() == 0


def test_little_is_said_aloud(visit, slow):
    page = opened(visit, slow).page
    page.evaluate(
        """() => { window.heard = [];
          new MutationObserver(() => window.heard.push(document.getElementById("announced").textContent))
            .observe(document.getElementById("announced"), {childList: true}); }"""
    )
    describe(page)
    page.click("#send")
    until(page, has(page, "#clip .player"))
    heard = page.evaluate("window.heard")
    assert [text.split(":")[0] for text in heard] == [
        "The clip is in the queue.",
        "Being made",
        "Half done",
        "Finished",
    ]


def test_a_key_is_asked_for(visit, tmp_path):
    from mova.serve.access.keys import Keys

    secret = Keys(tmp_path / "keys.json").create("Ida")
    secret = secret[1] if isinstance(secret, tuple) else secret
    studio = Studio(tmp_path / "data", settings={"keys_file": str(tmp_path / "keys.json")}, step_s=0.02)
    try:
        page = visit(studio.address).page
        page.wait_for_selector("#door:not([hidden])")
        assert not page.locator("#studio").is_visible()
        assert faults(page) == []
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        until(page, lambda: page.locator("#key-error").is_visible())
        page.fill("#key", secret)
        page.keyboard.press("Enter")
        page.wait_for_selector("#studio:not([hidden])")
        describe(page)
        page.click("#send")
        until(page, has(page, "#clip .player"))
        assert secret not in page.content()
        page.click("#sign-out")
        page.wait_for_selector("#door:not([hidden])")
    finally:
        studio.stop()
