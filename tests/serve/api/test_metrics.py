"""What is counted."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_site import served


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


def test_requests_are_counted_by_their_route_and_never_by_their_path(site):
    made = site.create(n=2)["id"]
    site.ask("GET", f"/v1/videos/{made}")
    site.ask("GET", "/secret/path", 404)
    site.post("/v1/queue/pause")
    site.store.report("hand", "idle", {})
    text = site.client.get("/metrics").text
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    one = (("method", "GET"), ("route", "/v1/videos/{video_id}"), ("status", "200"))
    assert values[("mova_requests_total", *one)] == 1
    assert values[("mova_requests_total", ("method", "GET"), ("route", "none"), ("status", "404"))] == 1
    assert values[("mova_accepted_jobs_total",)] == 2
    assert values[("mova_jobs", ("state", "queued"))] == 2
    assert values[("mova_queue_paused",)] == 1
    assert values[("mova_workers", ("state", "idle"))] == 1
    assert values[("mova_event_streams",)] == 0
    assert not re.search(r"secret|video_[0-9a-f]{32}", text)
