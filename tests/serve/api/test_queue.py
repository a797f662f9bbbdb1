"""Clips that wait: changed, held, moved, made twice, cancelled; the queue paused."""

import pytest

from serve_site import PROMPT, served


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def site(live):
    live.clear()
    return live


def order_of(site):
    return [one["id"] for one in site.ask("GET", "/v1/queue")["data"]]


def test_a_clip_is_changed_before_it_is_begun_and_not_after(site):
    made = site.create(seed=4, num_frames=25)["id"]
    changed = site.ask("PATCH", f"/v1/videos/{made}", json={"prompt": "a zeppelin", "seed": 5, "size": "96x96"})
    assert (changed["prompt"], changed["seed"], changed["num_frames"], changed["size"]) == (
        "a zeppelin",
        5,
        25,
        "96x96",
    )
    assert changed["warnings"]
    assert len(site.ask("GET", "/v1/videos?search=zeppelin")["data"]) == 1
    refused = site.ask("PATCH", f"/v1/videos/{made}", 400, json={"num_frames": 26})["error"]
    assert (refused["param"], refused["nearest"]) == ("num_frames", "25 and 29")
    assert site.ask("PATCH", f"/v1/videos/{made}", 400, json={"n": 2})["error"]["param"] == "n"
    site.begin(made)
    assert site.ask("PATCH", f"/v1/videos/{made}", 409, json={"seed": 6})["error"]["code"] == "wrong_state"
    assert site.ask("GET", f"/v1/videos/{made}")["seed"] == 5


def test_a_clip_is_held_and_let_go(site):
    made = site.create(hold=True)
    assert (made["state"], made["status"], made["position"]) == ("held", "queued", None)
    assert site.store.claim("hand", "mova-tiny", 60.0) == []
    for _ in range(2):
        assert site.post(f"/v1/videos/{made['id']}/release")["state"] == "queued"
    for _ in range(2):
        assert site.post(f"/v1/videos/{made['id']}/hold")["state"] == "held"
    site.post(f"/v1/videos/{made['id']}/release")
    site.begin(made["id"])
    assert site.post(f"/v1/videos/{made['id']}/hold", 409)["error"]["code"] == "wrong_state"


def test_clips_are_moved(site):
    first, second, third = (site.create(seed=number)["id"] for number in range(3))
    assert site.post(f"/v1/videos/{third}/move", json={"before": first})["position"] == 1
    assert order_of(site) == [third, first, second]
    site.post(f"/v1/videos/{third}/move")
    assert order_of(site) == [first, second, third]
    for before in (3, "video_1", "video_" + "0" * 32):
        assert site.post(f"/v1/videos/{third}/move", 400, json={"before": before})["error"]["param"] == "before"
    assert site.post(f"/v1/videos/{third}/move", 400, json={"behind": first})["error"]["code"] == "unknown_field"
    site.begin(third)
    assert site.post(f"/v1/videos/{third}/move", 409, json={"before": first})


def test_a_clip_is_cancelled_at_once_or_between_steps_and_never_twice(site):
    waiting, running, done = (site.create(seed=number)["id"] for number in range(3))
    said = site.post(f"/v1/videos/{waiting}/cancel")
    assert (said["status"], said["state"], said["error"]["code"]) == ("failed", "cancelled", "cancelled")
    assert site.post(f"/v1/videos/{waiting}/cancel")["state"] == "cancelled"
    site.begin(running)
    assert site.post(f"/v1/videos/{running}/cancel")["status"] == "in_progress"
    assert running in site.progress(running)
    site.finish(done)
    assert site.post(f"/v1/videos/{done}/cancel")["status"] == "completed"


def test_a_clip_is_made_twice(site):
    made = site.create(seed=4, num_frames=25)["id"]
    site.finish(made)
    again = site.post(f"/v1/videos/{made}/duplicate")
    assert (again["seed"], again["num_frames"], again["status"], again["prompt"]) == (4, 25, "queued", PROMPT)
    assert again["id"] != made


def test_the_queue_is_paused_and_goes_on(site):
    site.create()
    assert site.post("/v1/queue/pause")["is_paused"]
    assert site.store.claim("hand", "mova-tiny", 60.0) == []
    said = site.ask("GET", "/v1/queue")
    assert (said["is_paused"], said["num_queued"], said["num_running"], len(said["data"])) == (True, 1, 0, 1)
    assert not site.post("/v1/queue/resume")["is_paused"]
    assert site.store.claim("hand", "mova-tiny", 60.0)
