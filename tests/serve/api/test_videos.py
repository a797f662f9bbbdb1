"""Clips are queued, listed, looked at, made again and removed; OpenAI's own client does it too."""

import base64
import io
import threading

import httpx2
import numpy as np
import pytest
from PIL import Image

from footage_kit import beeps, flash_frames, steady_ticks, write_video
from serve_site import CLIP, PROMPT, served


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def site(live):
    live.clear()
    live.wakes.clear()
    return live


@pytest.fixture(scope="module")
def image():
    written = io.BytesIO()
    Image.fromarray(np.full((128, 128, 3), 90, np.uint8)).save(written, "PNG")
    return written.getvalue()


@pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
def test_openais_client_makes_lists_downloads_and_removes_clips(site):
    from openai import NotFoundError, OpenAI

    with OpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        made = client.videos.create(
            prompt=PROMPT, model="mova-tiny", seconds="2", size="128x128", extra_body={"seed": 7, "n": 2}
        )
        assert (made.object, made.status, made.progress) == ("video", "queued", 0)
        assert (made.seconds, made.size) == ("2.04", "128x128")
        with pytest.raises(NotFoundError):
            client.videos.download_content(made.id)
        site.begin(made.id)
        site.progress(made.id, done=4, total=10)
        assert (client.videos.retrieve(made.id).status, client.videos.retrieve(made.id).progress) == ("in_progress", 40)
        site.store.release(made.id, "hand")
        site.finish(made.id)
        done = client.videos.poll(made.id)
        assert (done.status, done.progress, done.error, bool(done.completed_at)) == ("completed", 100, None, True)
        assert client.videos.download_content(made.id).content == CLIP
        assert client.videos.download_content(made.id, variant="thumbnail").content.startswith(b"\x89PNG")
        assert [one.seed for one in client.videos.list()] == [8, 7]
        assert next(iter(client.videos.list(limit=1, order="asc"))).id == made.id
        again = client.videos.remix(made.id, prompt="a green ball bounces on a metal floor")
        assert (again.remixed_from_video_id, again.seed, again.status) == (made.id, 7, "queued")
        assert client.videos.delete(made.id).deleted
        with pytest.raises(NotFoundError):
            client.videos.retrieve(made.id)


@pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
def test_what_openais_client_offers_and_no_model_does_yet_is_said_in_its_form(site):
    from openai import InternalServerError, OpenAI

    with OpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        for call in (
            lambda: client.videos.create_character(name="a", video=b"x"),
            lambda: client.videos.get_character("c"),
        ):
            with pytest.raises(InternalServerError) as refused:
                call()
            assert (refused.value.status_code, refused.value.code) == (501, "not_implemented")


def test_a_request_is_on_the_disk_before_anybody_is_told_and_workers_are_woken(site):
    made = site.create(seed=3, hold=False)
    job = site.store.get(made["id"])
    assert (job.order.prompt, job.order.seed, job.order.model) == (PROMPT, 3, "mova-tiny")
    assert len(site.wakes) == 1
    assert (made["position"], made["state"], made["settings"]["num_inference_steps"]) == (1, "queued", 20)
    assert made["warnings"] == []
    assert site.create("a zeppelin")["warnings"]


def test_variants_differ_in_their_seeds_and_belong_together(site):
    made = site.create(n=3, seed=5)
    videos = [site.ask("GET", f"/v1/videos/{name}") for name in made["variants"]]
    assert [one["seed"] for one in videos] == [5, 6, 7]
    assert {one["group"] for one in videos} == {made["group"]}
    assert [one["position"] for one in videos] == [1, 2, 3]


def test_the_same_request_with_the_same_key_makes_one_clip(site):
    headers = {"Idempotency-Key": "a-1"}
    made = [site.post(json={"prompt": PROMPT}, headers=headers)["id"] for _ in range(3)]
    assert len(set(made)) == 1
    refused = site.post(json={"prompt": PROMPT, "seed": 2}, headers=headers, status=409)["error"]
    assert refused["code"] == "key_reused"
    site.ask("DELETE", f"/v1/videos/{made[0]}")
    assert site.post(json={"prompt": PROMPT}, headers=headers, status=409)["error"]["code"] == "key_gone"
    bad = site.post(json={"prompt": PROMPT}, headers={"Idempotency-Key": "x y"}, status=400)["error"]
    assert bad["param"] == "Idempotency-Key"


def test_the_same_form_sent_at_once_makes_one_clip_and_keeps_one_file(site, image):
    def send():
        with httpx2.Client(base_url=site.url, timeout=300) as client:
            reply = client.post(
                "/v1/videos",
                data={"prompt": PROMPT},
                files={"input_reference": ("a.png", image)},
                headers={"Idempotency-Key": "form"},
            )
            found.append(reply.json()["id"])

    found = []
    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(site.files()) == 1


def test_an_image_of_a_form_becomes_an_input(site, image):
    reply = site.post(
        data={"prompt": PROMPT, "seconds": "2", "n": "1"}, files={"input_reference": ("../../etc/passwd", image)}
    )
    assert reply["inputs"] == ["image"]
    (name,) = site.files()
    assert name.startswith("artifacts/uploads/")


def test_lists_come_page_by_page(site):
    names = [site.create(seed=number)["id"] for number in range(5)]
    first = site.ask("GET", "/v1/videos?limit=2")
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (names[:2:-1], True)
    assert (first["first_id"], first["last_id"], first["object"]) == (names[4], names[3], "list")
    rest = site.ask("GET", f"/v1/videos?limit=3&after={first['last_id']}")
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (names[2::-1], False)
    assert [one["id"] for one in site.ask("GET", "/v1/videos?order=asc&limit=1")["data"]] == names[:1]
    site.create("a blue light in a dark room")
    assert len(site.ask("GET", "/v1/videos?search=BLUE%20dark")["data"]) == 1
    assert site.ask("GET", "/v1/videos?status=completed")["data"] == []
    assert site.ask("GET", "/v1/videos?status=failed&search=nothing")["last_id"] is None


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=101", "limit"),
        ("limit=1&limit=2", "limit"),
        ("order=up", "order"),
        ("after=video_1", "after"),
        ("after=" + "video_" + "0" * 32, "after"),
        ("status=running_away", "status"),
        ("search=%00", "search"),
        ("limits=3", "limits"),
    ],
)
def test_a_list_that_cannot_be_is_refused(site, query, param):
    assert site.ask("GET", f"/v1/videos?{query}", 400)["error"]["param"] == param


@pytest.mark.parametrize("name", ["video_1", "x", "video_" + "0" * 32, "..%2f..%2fetc", "%00", "video_" + "0" * 500])
@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_a_clip_that_is_not_there_is_not_found(site, name, method):
    assert site.ask(method, f"/v1/videos/{name}", 404)["error"]["type"] == "not_found_error"


def test_a_clip_is_made_again_with_what_is_to_be_other(site, image):
    made = site.post(data={"prompt": PROMPT, "seed": "4", "num_frames": "25"}, files={"image": ("a.png", image)})
    again = site.post(f"/v1/videos/{made['id']}/remix", json={"seed": 9})
    assert (again["prompt"], again["seed"], again["num_frames"], again["inputs"]) == (PROMPT, 9, 25, ["image"])
    other = site.post(f"/v1/videos/{made['id']}/remix", json={"seconds": "2", "image": None, "speed": "fast"})
    assert (other["num_frames"], other["inputs"], other["speed"], other["seed"]) == (49, [], "fast", 4)
    assert len(site.files()) == 1
    refused = site.post(f"/v1/videos/{made['id']}/remix", json={"num_frames": 26}, status=400)
    assert refused["error"]["nearest"] == "25 and 29"


def test_a_clip_is_made_of_a_part_of_another(site, tmp_path):
    ticks, base = steady_ticks(24, 1.0)
    path = write_video(tmp_path / "a.mp4", flash_frames(ticks, base, [0.5]), ticks, base, audio=beeps([0.5], 1.0))
    made = site.create()["id"]
    early = site.post(json={"prompt": PROMPT, "image": {"video_id": made}}, status=400)["error"]
    assert "completed" in early["message"]
    site.finish(made, path.read_bytes())
    for field, part in (("image", "last_frame"), ("video", "video"), ("audio", "audio")):
        sent = {"prompt": PROMPT, "num_frames": 21, field: {"video_id": made, "part": part}}
        assert site.post(json=sent)["inputs"] == [field]
    assert site.post(json={"prompt": PROMPT, "image": {"video_id": "video_" + "0" * 32}}, status=404)
    # Somebody has removed its file.
    site.artifacts.delete(site.store.get(made).artifacts["video"])
    gone = site.post(json={"prompt": PROMPT, "image": {"video_id": made}}, status=400)["error"]
    assert (gone["code"], gone["param"]) == ("input_gone", "image")


def test_a_clip_that_runs_is_stopped_when_it_is_removed(site):
    made = site.create()["id"]
    site.begin(made)
    assert site.ask("DELETE", f"/v1/videos/{made}")["deleted"]
    assert site.ask("GET", f"/v1/videos/{made}", 404)
    assert made in site.progress(made)
    assert site.ask("DELETE", f"/v1/videos/{made}", 404)


def test_a_clip_whose_time_is_over_is_gone_with_its_files(site):
    made = site.create()["id"]
    site.finish(made)
    with site.store.database.writing() as run:
        run.run("UPDATE jobs SET expires_s = 1 WHERE id = :id", id=made)
    assert site.store.doom_expired() == 1
    for path in ("", "/content", "/events"):
        assert site.ask("GET", f"/v1/videos/{made}{path}", 404)["error"]["code"] == "not_found"
    site.store.remove_doomed(site.artifacts)
    assert site.files() == []
    assert site.ask("GET", "/v1/videos")["data"] == []


def test_a_status_is_that_of_the_work(site):
    made = site.create()["id"]
    assert site.ask("GET", f"/v1/videos/{made}")["status"] == "queued"
    site.begin(made)
    said = site.client.get(f"/v1/videos/{made}")
    assert (said.json()["status"], said.headers["openai-poll-after-ms"]) == ("in_progress", "500")
    site.store.release(made, "hand")
    assert site.ask("GET", f"/v1/videos/{made}")["status"] == "queued"
    site.finish(made)
    said = site.client.get(f"/v1/videos/{made}")
    assert "openai-poll-after-ms" not in said.headers
    body = said.json()
    assert (body["status"], body["inference_time_s"], body["peak_memory_mb"]) == ("completed", 2.0, 10)
    assert body["file_path"].endswith(".mp4")
    assert body["has"] == dict.fromkeys(("video", "thumbnail", "waveform", "spritesheet"), True) | {"preview": False}


def data_url(image):
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def test_images_stand_at_moments_one_modality_is_made_and_it_is_said_again(site, image):
    files = {"keyframes[1.05]": ("a.png", image), "keyframes[0.5]": ("b.png", image), "image": ("c.png", image)}
    fields = {"prompt": PROMPT, "only": "video", "fit": "pad", "null_image": "none"}
    made = site.post(data=fields, files=files)
    assert made["keyframes"] == [{"time": 0.5, "input": "keyframe_0"}, {"time": 1.05, "input": "keyframe_1"}]
    assert (made["only"], made["fit"], made["settings"]["null_image"]) == ("video", "pad", "none")
    assert made["inputs"] == ["image", "keyframe_0", "keyframe_1"]
    assert "keyframe: 1.050 s became 1.000 s" in made["warnings"]
    again = site.ask("GET", f"/v1/videos/{made['id']}")
    assert {**again, "warnings": []} == {**made, "warnings": []}
    assert again["notes"] == ["keyframe: 1.050 s became 1.000 s"]
    assert set(again["notes"]) <= set(again["warnings"])
    reply = site.client.get(f"/v1/videos/{made['id']}/content?variant=input_keyframe_1")
    assert reply.content.startswith(b"\x89PNG")
    assert len(site.files()) == 3


def test_a_remix_keeps_moments_takes_others_or_none(site, image):
    moments = [{"time": 1, "image": data_url(image)}, {"time": 0.5, "image": data_url(image)}]
    made = site.create(keyframes=moments, only="audio")
    remix = f"/v1/videos/{made['id']}/remix"
    kept = site.post(remix, json={"seed": 3})
    assert (kept["keyframes"], kept["only"]) == (made["keyframes"], "audio")
    moved = site.post(remix, json={"keyframes": [{"time": 1.5, "image": data_url(image)}], "only": None})
    assert (moved["keyframes"], moved["only"]) == ([{"time": 1.5, "input": "keyframe_0"}], None)
    assert moved["inputs"] == ["keyframe_0"]
    assert site.store.get(moved["id"]).order.inputs != site.store.get(made["id"]).order.inputs
    none = site.post(remix, json={"keyframes": []})
    assert (none["keyframes"], none["inputs"]) == ([], [])
    twice = site.post(f"/v1/videos/{made['id']}/duplicate")
    assert (twice["keyframes"], twice["notes"], twice["only"]) == (made["keyframes"], made["notes"], "audio")


def test_how_often_a_clip_is_made_again_is_kept_and_changed(site):
    assert site.create()["retries"] == 2
    made = site.create(retries="0")
    assert (made["retries"], made["attempts"], made["made_seed"]) == (0, [], None)
    again = site.post(f"/v1/videos/{made['id']}/remix", json={"seed": 3})
    assert (again["retries"], site.store.get(again["id"]).order.retries) == (0, 0)
    assert site.ask("PATCH", f"/v1/videos/{made['id']}", json={"retries": 5})["retries"] == 5


def test_a_clip_longer_than_the_model_learned_is_made_in_windows(site, image):
    later = [{"time": 3.0, "prompt": "a green ball bounces on wood"}]
    made = site.create(seconds=5, prompt_at=later, overlap=0.5, image=data_url(image))
    assert (made["num_frames"], made["seconds"], made["num_windows"], made["windows"]) == (121, "5.04", 3, "continue")
    assert (made["prompt_at"], made["overlap"], made["window"]) == (later, 0.5, None)
    assert made["settings"]["num_frames"] == 49
    assert any(text.startswith("5.042 s (nearest to 5 s), 121 frames") for text in made["notes"])
    assert not any("frames (it knows" in text for text in made["warnings"])
    changed = site.ask("PATCH", f"/v1/videos/{made['id']}", json={"seconds": 6})
    assert (changed["num_frames"], changed["prompt_at"], changed["overlap"]) == (145, later, 0.5)
    changed = site.ask("PATCH", f"/v1/videos/{made['id']}", json={"prompt_at": [], "seconds": 1, "overlap": 0.3})
    assert (changed["num_frames"], changed["prompt_at"], changed["num_windows"]) == (25, [], 1)
    joint = site.create(num_frames=97, windows="joint")
    assert (joint["num_frames"], joint["windows"]) == (97, "joint")
    short = site.post(f"/v1/videos/{joint['id']}/remix", json={"num_frames": 49})
    assert (short["num_frames"], short["windows"]) == (49, "joint")
    long = site.create(num_frames=97)
    short = site.post(f"/v1/videos/{long['id']}/remix", json={"num_frames": 49})
    assert (short["num_frames"], short["windows"], short["num_windows"]) == (49, None, 1)


@pytest.mark.parametrize(
    ("fields", "param", "nearest"),
    [
        ({"keyframes": [5.0]}, "keyframes", "2 s"),
        ({"keyframes": [1.0, 1.01]}, "keyframes", None),
        ({"keyframes": [-1.0]}, "keyframes", "0 s"),
        ({"keyframes": [0.5], "seconds": 5, "windows": "continue"}, "keyframes", None),
        ({"only": "sound"}, "only", "audio"),
        ({"fit": "squeeze"}, "fit", "stretch"),
        ({"seconds": 5, "overlap": 9}, "overlap", "1.542"),
        ({"seconds": 5, "windows": "both"}, "windows", "joint"),
        ({"seconds": 5, "prompt_at": [{"time": 9, "prompt": "b"}]}, "prompt_at", "3.542"),
        ({"seconds": 5, "prompt_at": [{"time": 4.9, "prompt": "b"}]}, "prompt_at", "3.542"),
        ({"seconds": 60}, "num_frames", "481"),
        ({"retries": 101}, "retries", "100"),
        ({"retries": "-1"}, "retries", "0"),
        ({"retries": 1.5}, "retries", None),
    ],
)
def test_what_no_clip_can_have_is_said_before_it_is_queued(site, image, fields, param, nearest):
    if "keyframes" in fields:
        fields = {**fields, "keyframes": [{"time": time, "image": data_url(image)} for time in fields["keyframes"]]}
    said = site.post(status=400, json={"prompt": PROMPT, **fields})["error"]
    assert (said["param"], said["nearest"]) == (param, nearest)
    assert site.files() == []


def test_an_image_at_a_moment_that_is_none_is_refused_by_its_field(site):
    bad = [{"time": 1, "image": "data:image/png;base64,AAAA"}]
    assert site.post(status=400, json={"prompt": PROMPT, "keyframes": bad})["error"]["param"] == "keyframes"
