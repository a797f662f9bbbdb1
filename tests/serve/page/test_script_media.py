"""Last images, and videos and sounds of one's own: chosen, sent, refused, and brought back out of a clip."""

import io
import wave

import numpy as np
import pytest
from PIL import Image

from studio_kit import complaints, describe, has, opened, says, until

pytestmark = pytest.mark.services


def sound():
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(2 * 16_000 * 4))
    return written.getvalue()


def image(shade):
    written = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), shade, np.uint8)).save(written, "PNG")
    return {"name": "one.png", "mimeType": "image/png", "buffer": written.getvalue()}


def test_a_video_is_asked_for_to_a_sound_and_the_sound_comes_back(visit, quick):
    seen = opened(visit, quick)
    page = seen.page
    describe(page, more=True)
    page.click("#media summary")
    assert not page.locator("#start").is_visible()
    page.set_input_files("#audio-file", {"name": "my song.wav", "mimeType": "audio/wav", "buffer": sound()})
    until(page, says(page, "#audio-file-name", "my song.wav"))
    page.fill("#start", "1.5")
    page.fill("#seed", "12")
    page.click("#send")
    until(page, has(page, "#clip .player"), "a clip")
    (clip,) = quick.clips()
    assert (clip["inputs"], clip["start_s"], clip["seed"]) == (["audio"], 1.5, 12)
    page.click("#reset")
    until(page, lambda: not page.locator("#audio-file-name").inner_text(), "an empty form")
    page.click("#clip [data-w=use_settings]")
    until(page, says(page, "#audio-file-name", "125 KiB"), "the sound")
    until(page, lambda: page.locator("#start").input_value() == "1.5")
    page.click("#send")
    until(page, lambda: len(quick.clips()) == 2)
    assert [(clip["inputs"], clip["start_s"], clip["seed"]) for clip in quick.clips()] == [(["audio"], 1.5, 12)] * 2
    assert complaints(seen) == []


def test_images_of_both_ends_come_back_as_they_were(visit, quick):
    page = opened(visit, quick).page
    describe(page, more=True)
    page.click("#media summary")
    page.set_input_files("#image", image(40))
    page.set_input_files("#last-image", image(200))
    until(page, has(page, "#last-image-shown canvas"))
    page.click("#send")
    until(page, has(page, "#clip .player"), "a clip")
    page.click("#reset")
    until(page, lambda: page.locator("#last-image-shown canvas, #image-shown canvas").count() == 0, "an empty form")
    page.click("#clip [data-w=use_settings]")
    until(page, has(page, "#last-image-shown canvas"), "the last image")
    shades = page.evaluate(
        """() => ["image", "last-image"].map((place) => document.querySelector(`#${place}-shown canvas`)
          .getContext("2d").getImageData(9, 9, 1, 1).data[0])"""
    )
    assert shades == [40, 200]
    page.click("#send")
    until(page, lambda: [clip["inputs"] for clip in quick.clips()] == [["image", "last_image"]] * 2)


def test_what_cannot_be_used_is_said_beside_it_in_the_readers_language(visit, quick):
    page = opened(visit, quick, locale="zh-CN").page
    describe(page)
    page.set_input_files("#image", image(40))
    page.evaluate("document.getElementById('media').open = true")
    page.set_input_files("#audio-file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no sound"})
    page.click("#send")
    until(page, says(page, "#audio-file-error", "无法解码该文件"))
    page.click("#audio-file-remove")
    page.select_option("#size", "")
    page.fill("#size-other", "100x100")
    until(page, says(page, "#size-error", "必须是 16 的倍数"))
    page.click("#size-error button")
    assert page.locator("#size-other").input_value() == "96x96"
    page.fill("#prompt", "一个橙色的球在石头上弹跳，旁边有一只狗")
    page.click("#enhance")
    until(page, has(page, "#accept"))
    said = page.locator("#suggested-changes").inner_text()
    assert "“橙色”改为最接近的黄色：玩具世界只有红色、黄色、绿色、蓝色、紫色" in said
    assert "became" not in said
    assert quick.clips() == []
