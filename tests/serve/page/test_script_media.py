"""Images, prompts, videos and sounds of one's own: chosen, sent, refused, and brought back out of a clip."""

import io
import wave

import numpy as np
import pytest
from PIL import Image

from studio_kit import complaints, describe, faults, has, opened, says, until

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
    page.click("#reset-form")
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
    page.click("#reset-form")
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


def test_images_along_the_clip_are_added_removed_sent_and_brought_back(visit, quick):
    seen = opened(visit, quick)
    page = seen.page
    describe(page, more=True)
    page.click("#media summary")
    # By the keyboard alone, but for the window in which a file is chosen.
    for time in ("0.5", "1.05", "1.5"):
        page.focus("#keyframe-add")
        page.keyboard.press("Enter")
        until(page, lambda: page.evaluate("document.activeElement.type") == "number", "the second is written next")
        page.keyboard.type(time)
    files = page.locator("#keyframes input[type=file]")
    for place in (0, 2):
        files.nth(place).set_input_files(image(40 + 80 * place))
    until(page, lambda: page.locator("#keyframes canvas").count() == 2)
    assert faults(page) == []
    page.click("#send")
    until(page, says(page, "#keyframes-error", "Choose an image"))
    page.focus("#keyframes .moment:nth-child(2) button")
    page.keyboard.press("Enter")
    until(page, lambda: page.locator("#keyframes .moment").count() == 2)
    page.select_option("#fit", "pad")
    page.select_option("#only", "video")
    page.click("#send")
    until(page, has(page, "#clip .player"), "a clip")
    (clip,) = quick.clips()
    assert [one["time"] for one in clip["keyframes"]] == [0.5, 1.5]
    assert (clip["only"], clip["fit"], clip["inputs"]) == ("video", "pad", ["keyframe_0", "keyframe_1"])
    assert page.locator("#clip [data-w=new_sound]").count() == 1
    assert page.locator("#clip [data-w=new_image]").count() == 0
    page.reload()
    page.wait_for_selector("#studio:not([hidden])")
    until(page, lambda: page.locator("#keyframes canvas").count() == 2, "the draft")
    page.evaluate("document.getElementById('more').open = true")
    page.click("#reset-form")
    until(page, lambda: page.locator("#keyframes .moment").count() == 0)
    page.select_option("#language", "zh")
    page.click("#clip [data-w=use_settings]")
    until(page, lambda: page.locator("#keyframes canvas").count() == 2, "the images of the clip")
    assert (page.locator("#fit").input_value(), page.locator("#only").input_value()) == ("pad", "video")
    assert [one.input_value() for one in page.locator("#keyframes input[type=number]").all()] == ["0.5", "1.5"]
    assert "第几秒" in page.locator("#keyframes").inner_text()
    page.fill("#keyframes .moment:last-child input[type=number]", "9")
    page.click("#send")
    until(page, says(page, "#keyframes-error", "图像须在视频之内"))
    assert complaints(seen)[:-1] == []  # the refusal is the last


def test_prompts_along_the_clip_are_added_removed_sent_and_brought_back(visit, quick):
    seen = opened(visit, quick)
    page = seen.page
    describe(page, more=True)
    page.select_option("#length", "97")
    page.click("#media summary")
    # By the keyboard alone.
    for time, text in (("1", "a green ball"), ("", ""), ("2.5", "a blue ball bounces on wood")):
        page.focus("#prompt-at-add")
        page.keyboard.press("Enter")
        until(page, lambda: page.evaluate("document.activeElement.type") == "number", "the second is written next")
        page.keyboard.type(time)
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    assert faults(page) == []
    page.click("#send")
    until(page, says(page, "#prompt-at-error", "Write a second"))
    assert page.evaluate("document.activeElement.closest('.moment').ariaLabel") == "Prompt 2"
    page.focus("#prompt-at .moment:nth-child(2) button")
    page.keyboard.press("Enter")
    until(page, lambda: page.locator("#prompt-at .moment").count() == 2)
    page.click("#send")
    until(page, has(page, "#clip .player"), "a clip")
    wanted = [{"time": 1.0, "prompt": "a green ball"}, {"time": 2.5, "prompt": "a blue ball bounces on wood"}]
    (clip,) = quick.clips()
    assert (clip["prompt_at"], clip["num_frames"], clip["num_windows"]) == (wanted, 97, 3)
    page.reload()
    page.wait_for_selector("#studio:not([hidden])")
    until(page, lambda: page.locator("#prompt-at .moment").count() == 2, "the draft")
    page.evaluate("document.getElementById('more').open = true")
    page.click("#reset-form")
    until(page, lambda: page.locator("#prompt-at .moment").count() == 0)
    page.select_option("#language", "zh")
    page.click("#clip [data-w=use_settings]")
    until(page, lambda: page.locator("#prompt-at .moment").count() == 2, "the prompts of the clip")
    assert "之后发生什么" in page.locator("#prompt-at").inner_text()
    page.fill("#prompt-at .moment:last-child input", "9")
    until(page, says(page, "#prompt-at-error", "该时刻须在生成的部分之内"))
    page.fill("#prompt-at .moment:last-child input", "2.5")
    until(page, lambda: not page.locator("#prompt-at-error").is_visible())
    page.click("#send")
    until(page, lambda: [clip["prompt_at"] for clip in quick.clips()] == [wanted] * 2)
    until(page, has(page, "#clip [data-w=new_image]"), "the second clip")
    page.click("#clip [data-w=new_image]")
    until(page, lambda: [clip["prompt_at"] for clip in quick.clips()] == [wanted] * 3)
    assert quick.clips()[0]["inputs"] == ["audio"]


def test_a_clip_is_longer_than_the_model_makes_at_once(visit, quick):
    page = opened(visit, quick).page
    describe(page)
    choices = page.locator("#length option").all_inner_texts()
    assert "4.04 s · 97 frames, part by part" in choices
    page.select_option("#length", "97")
    page.click("#send")
    until(page, has(page, "#clip .player"), "a clip")
    (clip,) = quick.clips()
    assert (clip["num_frames"], clip["num_windows"]) == (97, 3)
    until(page, says(page, "#clip-view", "97 frames: 3 windows"))
    assert "not trained" not in page.locator("#clip-view").inner_text()
    page.click("#clip [data-w=use_settings]")
    assert page.locator("#length").input_value() == "97"


def test_what_the_form_has_no_field_for_comes_back_as_well(visit, quick):
    asked = {"num_frames": 97, "windows": "joint", "overlap": 0.5, "retries": 0}
    made = quick.call("POST", "v1/videos", {"prompt": "a red ball", **asked})["id"]
    page = opened(visit, quick).page
    until(page, lambda: page.evaluate("(id) => clips.has(id)", made), "the clip")
    page.evaluate("(id) => choose(id)", made)
    until(page, has(page, "#clip [data-w=use_settings]"))
    page.click("#clip [data-w=use_settings]")
    page.click("#send")
    until(page, lambda: len(quick.clips()) == 2)
    assert [{name: clip[name] for name in asked} for clip in quick.clips()] == [asked] * 2
