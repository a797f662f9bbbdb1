"""The page of a server in a browser: from an empty page to a playing clip, and whatever may come between."""

import time

import pytest
from axe_playwright_python.sync_playwright import Axe

from fixtures_browser import DESK
from mova.serve.page.words import WORDS
from studio_kit import MODEL, Studio

pytestmark = pytest.mark.services

PHONE = (360, 780)
KNOWN = "a red ball bounces on a wooden floor"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    studio = Studio(tmp_path_factory.mktemp("quick"), step_s=0.02)
    studio.wait_ready()
    yield studio
    studio.stop()


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    studio = Studio(tmp_path_factory.mktemp("slow"), step_s=0.25, steps=12)
    studio.wait_ready()
    yield studio
    studio.stop()


@pytest.fixture(autouse=True)
def clean(request):
    yield
    for name in ("quick", "slow"):
        if name in request.fixturenames:
            request.getfixturevalue(name).clear()


def until(page, is_so, what="", most_s=60.0):
    """Wait for something; the policy of the page forbids playwright's own way, which evaluates a text in it."""
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        if is_so():
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{what or 'it'} does not come; the page says: {page.locator('body').inner_text()[:1500]}")


def opened(visit, studio, size=DESK, **options):
    seen = visit(studio.address, size, **options)
    seen.page.wait_for_selector("#studio:not([hidden])")
    return seen


def describe(page, text=KNOWN, *, more=False):
    """Write a prompt, and take it as it is."""
    page.fill("#prompt", text)
    page.evaluate("document.getElementById('more').open = true")
    page.uncheck("#first")
    if not more:
        page.evaluate("document.getElementById('more').open = false")


def has(page, selector):
    return lambda: page.locator(selector).count() > 0


def says(page, selector, text):
    return lambda: text in page.locator(selector).inner_text()


def complaints(seen):
    """Return what the browser complained of; that requests end with the page that made them is none."""
    return [one for one in seen.complaints if not one.endswith(": net::ERR_ABORTED")]


def foreign(seen, studio):
    return [one for one in seen.requests if not one.startswith(studio.address)]


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
    for key, part in (("new_sound", "video"), ("new_picture", "audio")):
        with page.expect_request("**/v1/videos") as sent:
            page.click(f"#clip [data-w={key}]")
        assert sent.value.post_data_json[part] == {"video_id": quick.clips()[-1]["id"], "part": part}
        # The clips of the stand-in are too short for it, which is said.
        until(page, lambda: page.locator("#notice").is_visible())
    page.click("#clip [data-w=delete]")
    until(page, lambda: page.locator("#gallery-list li").count() == 1)
    assert len(quick.clips()) == 1


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
    page.fill("#prompt", "a green ball hops")
    page.click("#undo")
    page.fill("#prompt", "a green ball hops")
    page.click("#send")
    until(page, has(page, "#keep"))
    page.click("#keep")
    until(page, lambda: len(quick.clips()) == 2)
    assert quick.clips()[0]["prompt"] == "a green ball hops"
    assert complaints(seen) == []


def test_a_clip_is_cancelled(visit, slow):
    page = opened(visit, slow).page
    describe(page)
    page.click("#send")
    until(page, says(page, "#clip-view", "step "))
    page.click("#clip-view [data-w=cancel]")
    until(page, says(page, "#clip-view", "was cancelled"))
    assert slow.clips()[0]["error"]["code"] == "cancelled"


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
    studio = Studio(tmp_path, step_s=0.3, settings={"worker": {"lease_s": 5}})
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
    finally:
        studio.stop()


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


def test_what_the_server_refuses_is_said_beside_the_field(visit, quick):
    page = opened(visit, quick).page
    describe(page, more=True)
    page.select_option("#size", "")
    page.fill("#size-other", "100x100")
    until(page, lambda: page.locator("#size-error").is_visible())
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
    assert lengths == ["2.04 s · 49 frames", "4.04 s · 97 frames", "8.04 s · 193 frames", "Other ..."]
    assert page.locator("#guidance").input_value() == "5"
    assert page.locator("#negative").input_value() == "blur"
    assert not page.locator("#first").is_checked()
    until(page, says(page, "#plan", "after a first clip"))


FILE = """(kind) => new Promise((resolve) => {
  const canvas = document.createElement("canvas");
  canvas.width = 40; canvas.height = 20;
  canvas.getContext("2d").fillRect(0, 0, 20, 20);
  canvas.toBlob((blob) => {
    const data = new DataTransfer();
    const words = new File(["words"], "one", {type: "text/plain"});
    data.items.add(kind === "text" ? words : new File([blob], "one", {type: "image/png"}));
    const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})
      : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
    document.getElementById("drop").dispatchEvent(event);
    resolve();
  });
})"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_an_image_is_pasted_and_dropped(visit, quick, kind):
    seen = opened(visit, quick)
    page = seen.page
    page.evaluate(FILE, kind)
    until(page, has(page, "#image-shown canvas"))
    page.reload()
    page.wait_for_selector("#studio:not([hidden])")
    until(page, has(page, "#image-shown canvas"), "the image of the draft")
    describe(page)
    page.click("#send")
    until(page, lambda: [clip["inputs"] for clip in quick.clips()] == [["image"]])
    page.evaluate(FILE, "text")
    until(page, says(page, "#image-error", "no image"))
    assert complaints(seen) == []


def test_a_camera_takes_an_image(visit, quick):
    page = opened(visit, quick).page
    page.click("#camera")
    until(page, says(page, "#image-error", "No camera"))
    page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia = async () => {
          const canvas = document.createElement("canvas");
          canvas.width = 64; canvas.height = 48;
          canvas.getContext("2d").fillRect(0, 0, 64, 48);
          const stream = canvas.captureStream(10);
          setInterval(() => canvas.getContext("2d").fillRect(0, 0, 64, 48), 50);
          return stream;
        }; }"""
    )
    page.click("#camera")
    until(page, has(page, "#camera-view video"))
    until(page, lambda: page.evaluate("document.querySelector('#camera-view video').videoWidth") > 0)
    page.click("#camera-view [data-w=take]")
    until(page, has(page, "#image-shown canvas"))
    assert page.locator("#camera-view video").count() == 0


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


def test_without_a_stream_of_events_the_server_is_asked(visit, quick):
    seen = visit("about:blank")
    page = seen.page
    page.route("**/v1/events", lambda route: route.abort())
    page.goto(quick.address)
    page.wait_for_selector("#studio:not([hidden])")
    describe(page)
    page.click("#send")
    until(page, has(page, "#clip .player"))


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
        assert _faults(page) == []
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
    empty = _faults(page)
    page.fill("#prompt", "a red ball hops")
    page.evaluate("document.getElementById('more').open = true")
    page.click("#enhance")
    until(page, has(page, "#accept"))
    quick.call("POST", "v1/videos", {"prompt": "a red ball bounces"})
    until(page, lambda: page.locator("#queue-list li").count() == 1)
    page.click("#queue-list [data-name=edit]")
    waiting = _faults(page)
    page.click("#pause")
    until(page, has(page, "#gallery-list li"))
    page.click("#gallery-list .card")
    until(page, has(page, "#clip .strips svg"))
    assert (empty, waiting, _faults(page), complaints(seen)) == ([], [], [], [])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chinese = look == "chinese"
    assert page.evaluate("document.documentElement.lang") == ("zh-Hans" if chinese else "en")
    assert page.locator("#send").inner_text() == WORDS["make_clip"][chinese]
    page.select_option("#language", "en" if chinese else "zh")
    assert page.locator("#send").inner_text() == WORDS["make_clip"][not chinese]
    page.reload()
    page.wait_for_selector("#studio:not([hidden])")
    assert page.locator("#send").inner_text() == WORDS["make_clip"][not chinese]


def _faults(page):
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["impact"], [node["html"][:100] for node in one["nodes"]]) for one in found]


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
