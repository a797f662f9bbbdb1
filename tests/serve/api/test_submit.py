"""From fields to jobs: filters, quotas, and nothing left of what came to nothing."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor

import httpx2
import numpy as np
import pytest
from PIL import Image

from mova.serve.access.keys import Keys
from mova.serve.settings import QuotaSection
from serve_site import PROMPT, served


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def secrets(folder):
    keys = Keys(folder / "data" / "keys.json")
    small = QuotaSection(queued=2, seconds_per_day=5.0, posts_per_minute=20, kept_bytes=10**6)
    return {
        "small": keys.create("small", quota=small)[1],
        "usual": keys.create("usual")[1],
        "many": keys.create("many", quota=QuotaSection(queued=3, posts_per_minute=None))[1],
        "short": keys.create("few seconds", quota=QuotaSection(seconds_per_day=5.0))[1],
        "admin": keys.create("admin", is_admin=True)[1],
    }


@pytest.fixture(scope="module")
def site(folder, secrets):
    (folder / "word_filter.py").write_text(
        "def check(kind, value):\n    return 'no swords here' if 'sword' in value else None\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        with served(folder, content_filter="word_filter:check") as made:
            yield made


@pytest.fixture
def as_key(site, secrets):
    clients = []

    def client(name):
        clients.append(
            httpx2.Client(base_url=site.url, headers={"Authorization": f"Bearer {secrets[name]}"}, timeout=300)
        )
        return clients[-1]

    yield client
    for one in clients:
        one.close()


def data_url():
    written = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


def test_whoever_has_no_key_is_refused_everywhere_but_at_the_door(site):
    for path in ("/v1/videos", "/v1/models", "/v1/queue", "/v1/events", "/v1/plan", "/metrics"):
        reply = site.client.get(path)
        assert (reply.status_code, reply.json()["error"]["type"]) == (401, "authentication_error")
    assert site.client.post("/v1/videos", json={"prompt": PROMPT}).status_code == 401
    for path in ("/health", "/openapi.json", "/v1/session"):
        assert site.client.get(path).status_code == 200


def test_a_prompt_that_the_filter_refuses_is_not_queued(site, as_key):
    usual = as_key("usual")
    reply = usual.post("/v1/videos", json={"prompt": "a sword"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "content_policy")
    assert "no swords here" in reply.json()["error"]["message"]
    made = usual.post("/v1/videos", json={"prompt": PROMPT}).json()["id"]
    for method, path in (("POST", "remix"), ("PATCH", "")):
        reply = usual.request(method, f"/v1/videos/{made}/{path}".rstrip("/"), json={"prompt": "a sword"})
        assert reply.json()["error"]["code"] == "content_policy"
    usual.delete(f"/v1/videos/{made}")


def test_nobody_sees_or_touches_what_is_of_others(site, as_key):
    usual, small, admin = as_key("usual"), as_key("small"), as_key("admin")
    made = usual.post("/v1/videos", json={"prompt": PROMPT}).json()
    name = made["id"]
    assert made["file_path"] is None
    assert small.get("/v1/videos").json()["data"] == []
    for method, path, sent in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("PATCH", "", {"seed": 1}),
        ("GET", "/content", None),
        ("GET", "/events", None),
        ("POST", "/cancel", None),
        ("POST", "/hold", None),
        ("POST", "/duplicate", None),
        ("POST", "/remix", {"seed": 1}),
    ):
        assert small.request(method, f"/v1/videos/{name}{path}", json=sent).status_code == 404, (method, path)
    sent = {"prompt": PROMPT, "image": {"video_id": name}}
    assert small.post("/v1/videos", json=sent).status_code == 404
    assert small.get(f"/v1/videos?after={name}").status_code == 400
    for path in ("/v1/queue/pause", f"/v1/videos/{name}/move"):
        assert usual.post(path).status_code == 403
    assert usual.get("/metrics").status_code == 403
    assert admin.get(f"/v1/videos/{name}").status_code == 200
    assert admin.get("/metrics").status_code == 200
    assert admin.delete(f"/v1/videos/{name}").status_code == 200


def test_quotas_end_requests_and_leave_nothing_of_them(site, as_key):
    small = as_key("small")
    sent = {"prompt": PROMPT, "image": data_url()}
    assert small.post("/v1/videos", json={**sent, "n": 3}).json()["error"]["code"] == "too_many_queued"
    assert small.post("/v1/videos", json={**sent, "num_frames": 193}).json()["error"]["code"] == "too_many_seconds"
    assert site.files() == []
    made = small.post("/v1/videos", json=sent).json()["id"]
    assert len(site.files()) == 1
    assert small.post("/v1/videos", json={"prompt": PROMPT, "size": "100x100"}).status_code == 400
    small.post("/v1/videos", json={"prompt": PROMPT})
    over = small.post("/v1/videos", json={"prompt": PROMPT}).json()["error"]
    assert (over["type"], over["code"]) == ("rate_limit_error", "too_many_queued")
    assert small.post(f"/v1/videos/{made}/duplicate").json()["error"]["code"] == "too_many_queued"
    for _ in range(20):
        slow = small.post("/v1/videos", json={"prompt": PROMPT})
    assert (slow.status_code, slow.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(slow.headers["retry-after"]) > 0


def test_requests_at_a_time_do_not_go_over_a_quota_together(site, as_key):
    many = as_key("many")
    sent = [{"prompt": PROMPT, "seed": seed} for seed in range(12)]
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda one: many.post("/v1/videos", json=one), sent))
    assert sorted(reply.status_code for reply in replies) == [200] * 3 + [429] * 9
    made = next(reply.json()["id"] for reply in replies if reply.status_code == 200)
    many.delete(f"/v1/videos/{made}")
    with ThreadPoolExecutor(6) as pool:
        again = list(pool.map(lambda _: many.post(f"/v1/videos/{made[:-1]}x/duplicate"), range(2)))
        assert {reply.status_code for reply in again} == {404}
        left = many.get("/v1/videos").json()["data"][0]["id"]
        again = list(pool.map(lambda _: many.post(f"/v1/videos/{left}/duplicate"), range(6)))
    assert sorted(reply.status_code for reply in again) == [200] + [429] * 5


def test_a_clip_that_is_made_longer_before_its_start_is_counted(site, as_key):
    short = as_key("short")
    made = short.post("/v1/videos", json={"prompt": PROMPT, "num_frames": 49}).json()["id"]
    reply = short.patch(f"/v1/videos/{made}", json={"num_frames": 193})
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "too_many_seconds")
    assert short.get(f"/v1/videos/{made}").json()["num_frames"] == 49
    assert short.patch(f"/v1/videos/{made}", json={"num_frames": 97}).json()["num_frames"] == 97
    # 4.04 of 5 seconds are used; what is made shorter is not given back.
    assert short.patch(f"/v1/videos/{made}", json={"num_frames": 49}).status_code == 200
    reply = short.post("/v1/videos", json={"prompt": PROMPT, "num_frames": 25})
    assert reply.json()["error"]["code"] == "too_many_seconds"


def test_the_filter_sees_prompts_along_a_clip(site, as_key):
    asked = {"prompt": PROMPT, "seconds": 4, "prompt_at": [{"time": 2.5, "prompt": "a sword"}]}
    reply = as_key("usual").post("/v1/videos", json=asked)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "content_policy")


def test_a_key_of_the_page_is_kept_in_a_cookie_that_only_its_own_page_may_use(site, secrets):
    with httpx2.Client(base_url=site.url, timeout=300) as client:
        assert client.get("/v1/session").json()["is_known"] is False
        assert client.post("/v1/session", json={"key": "mova_wrong"}).status_code == 401
        reply = client.post("/v1/session", json={"key": secrets["usual"]}, headers={"Origin": site.url})
        assert reply.json()["name"] == "usual"
        kept = reply.headers["set-cookie"].lower()
        assert "httponly" in kept
        assert "samesite=strict" in kept
        assert client.get("/v1/videos").status_code == 200
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            assert client.post("/v1/videos", json={"prompt": PROMPT}, headers=headers).status_code == 403
        client.delete("/v1/session")
        assert client.get("/v1/videos").status_code == 401


def test_a_revoked_key_ends_at_once(site, folder, as_key):
    keys = Keys(folder / "data" / "keys.json")
    _, secret = keys.create("short")
    headers = {"Authorization": f"Bearer {secret}"}
    assert site.client.get("/v1/videos", headers=headers).status_code == 200
    keys.revoke("short")
    assert site.client.get("/v1/videos", headers=headers).status_code == 401


def test_no_secret_is_in_the_database_or_in_files(site, folder, secrets):
    for path in (folder / "data").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets.values()), path.name
