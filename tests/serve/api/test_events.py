"""Changes as they come."""

import threading

import httpx2
import pytest

from serve_site import events_of, served


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site"), **{"limits.streams": 2}) as made:
        yield made


@pytest.fixture
def site(live):
    live.clear()
    return live


def test_one_clip_is_told_of_until_it_has_ended(site):
    made = site.create()["id"]
    with site.client.stream("GET", f"/v1/videos/{made}/events") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = filter(None, reply.iter_lines())
        found = [next(lines) for _ in range(3)]

        def listen():
            found.extend(lines)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        site.finish(made)
        listener.join(120)
        assert not listener.is_alive()
    assert found[0] == "retry: 2000"
    assert '"status": "queued"' in found[2]
    assert '"status": "completed"' in found[-1]


def test_a_clip_that_has_ended_or_is_not_there_is_told_of_at_once(site):
    made = site.create()["id"]
    site.post(f"/v1/videos/{made}/cancel")
    with site.client.stream("GET", f"/v1/videos/{made}/events") as reply:
        ((name, value),) = events_of(reply, 9)
    assert (name, value["state"]) == ("video", "cancelled")
    assert site.ask("GET", "/v1/videos/video_1/events", 404)


def test_all_clips_are_told_of_first_as_they_are_and_then_as_they_change(site):
    first = site.create()["id"]
    with httpx2.Client(base_url=site.url, timeout=300) as client, client.stream("GET", "/v1/events") as reply:
        lines = reply.iter_lines()
        seen = []

        def read_until(text):
            for line in lines:
                seen.append(line)
                if text in line:
                    return
            raise AssertionError("the stream has ended")

        read_until("num_queued")
        assert any(first in line for line in seen)
        second = site.create()["id"]
        read_until(second)
        site.ask("DELETE", f"/v1/videos/{second}")
        read_until("event: deleted")
        site.post("/v1/queue/pause")
        read_until('"is_paused": true')


def test_more_streams_than_there_may_be_are_sent_away(site):
    with site.client.stream("GET", "/v1/events") as one, site.client.stream("GET", "/v1/events") as two:
        held = [reply.iter_lines() for reply in (one, two)]
        assert [next(lines) for lines in held] == ["retry: 2000"] * 2
        with site.client.stream("GET", "/v1/events") as three:
            assert three.status_code == 503
