"""Files of clips, whole or in parts, from a folder or from elsewhere."""

import io
import json
import secrets
import wave

import pytest

from serve_site import CLIP, IMAGES, PROMPT, served


@pytest.fixture(scope="module", params=["folder", "elsewhere"])
def site(request, tmp_path_factory):
    options = {} if request.param == "folder" else {"artifacts": f"memory://{secrets.token_hex(4)}"}
    with served(tmp_path_factory.mktemp("site"), **options) as made:
        yield made


@pytest.fixture(scope="module")
def clip(site):
    made = site.create()["id"]
    site.finish(made)
    return f"/v1/videos/{made}"


def test_the_clip_is_given_whole(site, clip):
    reply = site.client.get(f"{clip}/content")
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, CLIP, "video/mp4")
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["content-disposition"].startswith("inline")
    assert "sandbox" in reply.headers["content-security-policy"]
    kept = site.client.get(f"{clip}/download")
    assert (kept.content, kept.headers["content-disposition"].startswith("attachment")) == (CLIP, True)
    assert site.client.head(f"{clip}/content").headers["content-length"] == str(len(CLIP))


@pytest.mark.parametrize(
    ("span", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=100-", 206, 100, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=10-999999", 206, 10, None),
    ],
)
def test_a_part_of_it_is_given(site, clip, span, status, start, end):
    reply = site.client.get(f"{clip}/content", headers={"Range": span})
    assert (reply.status_code, reply.content) == (status, CLIP[start:end])
    assert reply.headers["content-range"].endswith(f"/{len(CLIP)}")


def test_a_part_past_its_end_is_not_there(site, clip):
    reply = site.client.get(f"{clip}/content", headers={"Range": "bytes=999999-"})
    assert (reply.status_code, reply.headers["content-range"]) == (416, f"bytes */{len(CLIP)}")
    for span in ("bytes=9-1", "lines=1-2", "bytes=--", "bytes=" + "9" * 40 + "-"):
        assert site.client.get(f"{clip}/content", headers={"Range": span}).status_code in (200, 400, 416)


def test_small_images_of_it_are_given(site, clip):
    for variant in IMAGES:
        reply = site.client.get(f"{clip}/content?variant={variant}")
        assert (reply.content, reply.headers["content-type"]) == (b"\x89PNG " + variant.encode(), "image/png")
        assert reply.headers["content-disposition"].startswith("inline")


def test_what_there_is_not_is_said(site, clip):
    said = site.ask("GET", f"{clip}/content?variant=preview", 404)["error"]
    assert said["code"] == "not_available"
    assert site.ask("GET", f"{clip}/content?variant=../x", 400)["error"]["param"] == "variant"
    made = site.create()["id"]
    assert site.ask("GET", f"/v1/videos/{made}/content", 404)["error"]["code"] == "not_ready"
    site.post(f"/v1/videos/{made}/cancel")
    assert site.ask("GET", f"/v1/videos/{made}/content", 404)["error"]["code"] == "cancelled"


def test_what_a_clip_is_made_from_is_given_to_whoever_gave_it(site, clip):
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(2 * 16_000 * 3))
    made = site.post(data={"prompt": PROMPT}, files={"audio": ("../a.html", sound.getvalue())})["id"]
    reply = site.client.get(f"/v1/videos/{made}/content?variant=input_audio")
    assert (reply.status_code, reply.content) == (200, sound.getvalue())
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"] == f'attachment; filename="{made}_input_audio.media"'
    assert "sandbox" in reply.headers["content-security-policy"]
    said = site.ask("GET", f"/v1/videos/{made}/content?variant=input_image", 404)["error"]
    assert (said["code"], said["message"]) == ("not_available", "this video was not made from image")


def test_a_preview_is_given_while_the_clip_is_made(site):
    made = site.create()["id"]
    site.begin(made)
    name = site.artifacts.made_by(made, 1, "preview", "webp")
    site.artifacts.put(name, b"RIFF")
    with site.store.database.writing() as run:
        run.run("UPDATE jobs SET artifacts = :made WHERE id = :id", made=json.dumps({"preview": name}), id=made)
    reply = site.client.get(f"/v1/videos/{made}/content?variant=preview")
    assert (reply.content, reply.headers["content-type"], reply.headers["cache-control"]) == (
        *(b"RIFF", "image/webp", "no-store"),
    )


def test_a_file_that_somebody_took_away_is_not_there(site):
    made = site.create()["id"]
    names = site.finish(made)
    site.artifacts.delete(names["video"])
    assert site.ask("GET", f"/v1/videos/{made}/content", 404)["error"]["code"] == "file_gone"
