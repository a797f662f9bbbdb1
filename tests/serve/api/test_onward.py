"""Further from a finished clip: longer, or a part of it anew."""

import numpy as np
import pytest

from mova.media.write import write_clip
from mova.serve.jobs.records import Extent
from mova.types import Clip
from serve_site import PROMPT, served


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = np.repeat(np.arange(49, dtype=np.uint8) * 4, 128 * 128 * 3).reshape(49, 128, 128, 3)
    sound = 0.1 * np.sin(np.arange(32_666, dtype=np.float32) / 9)[None]
    write_clip(path, Clip(frames, sound, 24.0, 16_000))
    return path.read_bytes()


@pytest.fixture
def site(live):
    live.clear()
    return live


@pytest.fixture
def clip(site, content):
    made = site.create(seed=5, num_inference_steps=4)["id"]
    site.finish(made, content)
    return made


@pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
def test_openais_client_extends_a_clip_and_edits_it(site, content):
    from openai import OpenAI

    with OpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        longer = client.videos.extend(prompt="it goes on", seconds="2", video=content, extra_body={"seed": 4})
        other = client.videos.edit(prompt="a blue ball", video=content, extra_body={"retake": "0.5-1:audio"})
    assert (longer.prompt, longer.size) == ("it goes on", "128x128")
    assert longer.seconds == f"{(49 + 48) / 24:.2f}"
    order = site.store.get(longer.id).order
    assert (dict(order.settings), set(order.inputs), order.retakes) == ({}, {"extend"}, ())
    assert (order.extent, order.long["length_s"]) == (Extent(97, 48, 2), pytest.approx(49 / 24 + 2))
    assert (order.seed, order.held) == (4, set())
    order = site.store.get(other.id).order
    assert (order.retakes, order.long, order.start_s, order.held) == (("0.5-1:audio",), None, 0.0, {"video"})
    assert other.seconds == "2.04"


def test_what_is_not_said_of_an_extension_is_as_the_model_learned_it(site, clip):
    made = site.post("/v1/videos/extensions", json={"video": {"id": clip}})
    # One window more, which takes a quarter of itself over.
    assert (made["num_frames"], made["prompt"], made["is_extension"]) == (49 + 36, PROMPT, True)
    assert any("85 frames: one window" in text for text in made["warnings"])
    assert (made["remixed_from_video_id"], made["settings"]["num_inference_steps"]) == (clip, 4)
    assert made["seed"] != 5
    again = site.post(f"/v1/videos/{made['id']}/remix", json={"seed": 9})
    assert (again["num_frames"], again["windows"], again["is_extension"]) == (85, "continue", True)
    shorter = site.post(f"/v1/videos/{made['id']}/remix", json={"seconds": 3, "prompt_at": []})
    assert (shorter["num_frames"], shorter["is_extension"]) == (73, True)
    held = site.post(
        "/v1/videos/extensions", json={"video": {"id": clip}, "overlap": 0.5, "seconds": 0.1, "hold": True}
    )
    assert (held["state"], held["num_frames"], held["overlap"]) == ("held", 49 + 4, 0.5)


def test_an_extension_may_be_longer_than_a_window_and_change_its_prompt(site, clip, content):
    later = [{"time": 4.0, "prompt": "a green ball"}]
    asked = {"video": {"id": clip}, "seconds": 6, "prompt_at": later}
    made = site.post("/v1/videos/extensions", json=asked)
    assert (made["num_frames"], made["num_windows"], made["prompt_at"]) == (49 + 144, 4, later)
    site.finish(made["id"], content)
    # What it was made from, and when its prompts held, is not what goes on.
    further = site.post("/v1/videos/extensions", json={"video": {"id": made["id"]}, "seconds": 1})
    assert (further["prompt_at"], further["remixed_from_video_id"]) == ([], made["id"])


def test_a_clip_of_another_size_is_not_gone_on_with(site, content):
    said = site.post(
        "/v1/videos/extensions", 400, data={"prompt": "a", "size": "64x64"}, files={"video": ("a.mp4", content)}
    )["error"]
    assert (said["param"], said["nearest"]) == ("video", "size 128x128")


def test_a_video_that_is_sent_is_edited(site, content):
    made = site.post(
        "/v1/videos/edits", data={"prompt": PROMPT, "retake": "0-0.5,1-1.5:video"}, files={"video": ("a.mp4", content)}
    )
    assert (made["inputs"], made["retake"], made["num_frames"]) == (["video"], ["0-0.5", "1-1.5:video"], 49)


@pytest.mark.parametrize(
    ("call", "fields", "param"),
    [
        ("edits", {}, "retake"),
        ("edits", {"retake": "x"}, "retake"),
        ("edits", {"retake": "1-9"}, "retake"),
        ("edits", {"retake": "1-0.5"}, "retake"),
        ("edits", {"retake": "0-2.041667"}, "retake"),
        ("edits", {"retake": ",".join(["0-0.1"] * 30)}, "retake"),
        ("edits", {"retake": "1-1.5", "size": "64x64"}, "size"),
        ("edits", {"retake": "1-1.5", "image": "data:image/png;base64,AA=="}, "image"),
        ("extensions", {"seconds": "-1"}, "seconds"),
        ("extensions", {"seconds": "many"}, "seconds"),
        ("extensions", {"overlap": 1e9}, "overlap"),
        ("extensions", {"seconds": "3000"}, "num_frames"),
        ("extensions", {"seconds": "6", "prompt_at": [{"time": 1, "prompt": "b"}]}, "prompt_at"),
        ("extensions", {"windows": "joint"}, "windows"),
        ("extensions", {"start_s": 1}, "start_s"),
        ("extensions", {"image": "data:image/png;base64,AA=="}, "image"),
        ("edits", {"retake": "1-1.5", "audio": "data:audio/wav;base64,AA=="}, "audio"),
        ("extensions", {"colour": "red"}, "colour"),
        ("extensions", {"video": {"id": "video_" + "0" * 32}}, "video"),
        ("extensions", {"video": "x"}, "video"),
        ("extensions", {"video": {"id": 3}}, "video"),
        ("extensions", {"video": None}, "video"),
    ],
)
def test_what_cannot_be_made_is_said(site, clip, call, fields, param):
    status = 404 if "0000" in str(fields) and "id" in str(fields) else 400
    said = site.post(f"/v1/videos/{call}", status, json={"prompt": "a", "video": {"id": clip}, **fields})["error"]
    assert said["param"] == param
    assert len(site.ask("GET", "/v1/videos")["data"]) == 1


def test_a_clip_must_be_there_before_it_goes_on(site):
    made = site.create()["id"]
    said = site.post("/v1/videos/extensions", 400, json={"video": {"id": made}, "prompt": "a"})["error"]
    assert (said["param"], "completed" in said["message"]) == ("video", True)
