"""Images and prompts at moments, as a request says them."""

import io
import json

import pytest

from mova.serve.faults import FieldError
from mova.serve.intake.bodies import Body, Upload
from mova.serve.intake.forms import read_asked
from mova.serve.intake.sources import DataUrl, OfClip
from mova.serve.settings import LimitsSection


def read(values=None, uploads=None, *, is_form=False, **more):
    return read_asked(Body({**(values or {}), **more}, uploads or {}, is_form), LimitsSection())


def upload(content):
    return Upload(io.BytesIO(content), len(content))


def test_images_at_moments_come_as_files_of_a_form_or_as_a_list():
    first, second, url = upload(b"a"), upload(b"b"), "data:image/png;base64,AA=="
    asked = read({"only": "video"}, {"keyframes[1.5]": second, "keyframes[0.5]": first}, is_form=True)
    assert (asked.keyframes, asked.only) == ((0.5, 1.5), "video")
    assert asked.media == {"keyframe_0": first, "keyframe_1": second}
    told = [{"time": 2, "image": url}, {"time": "1", "image": {"video_id": "v"}}]
    for value in (told, json.dumps(told)):
        asked = read(keyframes=value)
        assert asked.keyframes == (1.0, 2.0)
        assert asked.media == {"keyframe_0": OfClip("v", "first_frame"), "keyframe_1": DataUrl(url)}
    assert (read(keyframes=[]).keyframes, read().keyframes, read(generate_sound=False).only) == ((), None, "video")
    assert (read(only=None).only, read().only) == ("", None)
    with pytest.raises(FieldError, match="once"):
        read({"keyframes": "[]"}, {"keyframes[1]": first}, is_form=True)


def test_prompts_along_a_clip_are_in_the_order_of_their_times():
    asked = read(prompt_at=[{"time": 3, "prompt": "b"}, {"time": "1.5", "prompt": "c"}], windows="joint", overlap="0.5")
    assert asked.prompts_at == ((1.5, "c"), (3.0, "b"))
    assert (asked.windows, asked.overlap_s) == ("joint", 0.5)
    assert read({"prompt_at[2]": "x"}, is_form=True).prompts_at == ((2.0, "x"),)
