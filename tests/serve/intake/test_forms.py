"""Fields of a request for clips."""

import io
import json

import pytest

from mova.serve.faults import FieldError
from mova.serve.intake.bodies import Body, Upload
from mova.serve.intake.forms import read_asked
from mova.serve.intake.sources import DataUrl, Link, OfClip
from mova.serve.settings import LimitsSection

LIMITS = LimitsSection(variants=4, prompt_chars=100)


def read(values=None, uploads=None, *, is_form=False, **more):
    return read_asked(Body({**(values or {}), **more}, uploads or {}, is_form), LIMITS)


def upload(content=b"x"):
    return Upload(io.BytesIO(content), len(content))


def refused(**values):
    with pytest.raises(FieldError) as found:
        read(values)
    return found.value


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def test_openais_fields_are_read_as_its_client_sends_them():
    file = upload()
    asked = read(
        {"prompt": "a ball", "model": "mova-tiny", "seconds": "4", "size": "128x96"},
        {"input_reference": file},
        is_form=True,
    )
    assert (asked.prompt, asked.model, asked.seconds) == ("a ball", "mova-tiny", 4.0)
    assert asked.settings == {"width": 128, "height": 96}
    assert asked.media == {"image": file}
    assert (asked.seed, asked.num_variants, asked.speed, asked.is_held) == (None, 1, None, False)


def test_sglangs_and_our_fields_are_read_from_texts():
    asked = read(
        {
            "prompt": "a ball",
            "num_frames": "49",
            "fps": "24",
            "num_inference_steps": "20",
            "guidance_scale": "4.5",
            "guidance_scale_2": "4.5",
            "flow_shift": "3",
            "audio_shift": "2.5",
            "generate_sound": "true",
            "seed": "7",
            "n": "2",
            "negative_prompt": "",
            "speed": "fast",
            "hold": "true",
            "start_s": "0.5",
            "retries": "0",
            "guidance_interval": "0.1,0.9",
            "enhancement": json.dumps({"original": "Ball"}),
        },
        is_form=True,
    )
    assert asked.settings == {
        "num_frames": 49,
        "frame_rate": 24.0,
        "num_inference_steps": 20,
        "guidance_scale": 4.5,
        "video_shift": 3.0,
        "audio_shift": 2.5,
        "guidance_interval": [0.1, 0.9],
    }
    assert (asked.seed, asked.num_variants, asked.speed, asked.is_held) == (7, 2, "fast", True)
    assert (asked.retries, read(prompt="a").retries) == (0, None)
    assert read(enhancement=nested(19)).enhancement == nested(19)
    assert (asked.start_s, asked.enhancement, asked.negative_prompt) == (0.5, {"original": "Ball"}, None)


def test_media_may_be_inside_of_json_at_an_address_or_of_a_clip():
    asked = read(
        prompt="a",
        input_reference={"image_url": "data:image/png;base64,AA=="},
        last_image={"video_id": "video_1"},
        audio={"video_id": "video_1", "part": "audio"},
        video=None,
    )
    assert asked.media == {
        "image": DataUrl("data:image/png;base64,AA=="),
        "last_image": OfClip("video_1", "last_frame"),
        "audio": OfClip("video_1", "audio"),
        "video": None,
    }
    asked = read({"prompt": "a", "input_reference[image_url]": "https://a.example/x.png"}, is_form=True)
    assert asked.media == {"image": Link("https://a.example/x.png")}
    assert read(prompt="a", reference_url="http://a.example/x.png").media == {"image": Link("http://a.example/x.png")}


def test_an_empty_file_of_a_form_is_none_and_an_empty_text_is_not_given():
    asked = read({"prompt": "a", "seed": "", "audio": ""}, {"image": upload(b"")}, is_form=True)
    assert (asked.seed, asked.media) == (None, {})


def test_what_is_unknown_inside_of_extra_body_is_left_out_and_said():
    asked = read(prompt="a", extra_body={"seed": 3, "enable_teacache": True}, extra_params='{"fps": 24}')
    assert (asked.seed, asked.settings["frame_rate"]) == (3, 24.0)
    assert asked.ignored == ("'enable_teacache'",)
    assert read(prompt="a", seed=1, extra_body={"seed": 3}).seed == 1


def test_an_unknown_field_is_refused_with_the_one_that_is_meant():
    found = refused(prompt="a", promt="b")
    assert (found.code, found.nearest, found.param) == ("unknown_field", "prompt", "promt")
    with pytest.raises(FieldError, match="fields must be among"):
        read({"prompt": "a"}, {"picture": upload()})
    with pytest.raises(FieldError, match="prompt must be a text, got a file"):
        read({}, {"prompt": upload()})


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"prompt": 3}, "prompt"),
        ({"prompt": "x" * 101}, "prompt"),
        ({"prompt": "a\0"}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"size": "big"}, "size"),
        ({"size": 128}, "size"),
        ({"width": "1.5"}, "width"),
        ({"seed": "1e3"}, "seed"),
        ({"seed": True}, "seed"),
        ({"n": 0}, "n"),
        ({"n": 5}, "n"),
        ({"n": 10**30}, "n"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": "4 s"}, "seconds"),
        ({"seconds": 1e9}, "seconds"),
        ({"guidance_scale": "nan"}, "guidance_scale"),
        ({"guidance_scale": 4, "guidance_scale_2": 5}, "guidance_scale_2"),
        ({"generate_sound": False, "only": "audio"}, "only"),
        ({"keyframes": 3}, "keyframes"),
        ({"keyframes": "{"}, "keyframes"),
        ({"keyframes": [{"time": 1}]}, "keyframes"),
        ({"keyframes": [{"time": "soon", "image": "data:x;base64,AA=="}]}, "keyframes"),
        ({"keyframes": [{"time": 1, "image": 3}]}, "keyframes"),
        ({"keyframes": [{"time": n, "image": "data:x;base64,AA=="} for n in range(17)]}, "keyframes"),
        ({"prompt_at": [[1, "a"]]}, "prompt_at"),
        ({"prompt_at": [{"time": 1, "prompt": "a" * 101}]}, "prompt_at"),
        ({"prompt_at": [{"time": 1, "prompt": None}]}, "prompt_at"),
        ({"overlap": "much"}, "overlap"),
        ({"windows": 3}, "windows"),
        ({"guidance_interval": [1]}, "guidance_interval"),
        ({"hold": "maybe"}, "hold"),
        ({"enhancement": "{"}, "enhancement"),
        ({"enhancement": [1]}, "enhancement"),
        ({"enhancement": {"x": float("inf")}}, "enhancement"),
        ({"enhancement": {"x": "y" * 200_000}}, "enhancement"),
        ({"enhancement": nested(900)}, "enhancement"),
        ({"enhancement": {"x": [[[nested(19)]]]}}, "enhancement"),
        ({"extra_body": dict.fromkeys(map(str, range(101)), 1)}, "extra_body"),
        ({"extra_body": "{"}, "extra_body"),
        ({"extra_body": [1]}, "extra_body"),
        ({"image": 5}, "image"),
        ({"image": "/etc/passwd"}, "image"),
        ({"image": "file:///etc/passwd"}, "image"),
        ({"image": {"file_id": "file_1"}}, "image"),
        ({"image": {"video_id": 3}}, "image"),
        ({"image": {"video_id": "v", "part": "middle"}}, "image"),
        ({"image": {"video_id": "v", "path": "x"}}, "image"),
        ({"image": "data:,x", "input_reference": "data:,y"}, "input_reference"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_refused_with_its_name(values, param):
    found = refused(**values)
    assert (found.status, found.param) == (400, param)
    assert len(found.text) < 1200
