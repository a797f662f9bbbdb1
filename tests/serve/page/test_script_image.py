"""The first image: pasted, dropped and taken with a camera."""

import pytest

from studio_kit import complaints, describe, has, opened, says, until

pytestmark = pytest.mark.services


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


def test_texts_are_dragged_and_pasted_as_ever(visit, quick):
    page = opened(visit, quick).page
    assert page.evaluate(
        """() => ["drop", "paste"].map((kind) => {
          const data = new DataTransfer();
          data.setData("text/plain", "words");
          const kinds = {bubbles: true, cancelable: true};
          const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, ...kinds})
            : new DragEvent("drop", {dataTransfer: data, ...kinds});
          document.getElementById("prompt").dispatchEvent(event);
          return event.defaultPrevented;
        })"""
    ) == [False, False]
    assert not page.locator("#image-error").is_visible()


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
