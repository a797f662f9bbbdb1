"""The OpenAPI document is true; hostile requests made out of it are refused, and never fail the server."""

import contextlib
import re

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from mova.serve.api.app import make_app
from serve_site import PROMPT, served


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        made.create()
        yield made


def test_the_document_names_every_route(site):
    described = site.ask("GET", "/openapi.json")
    named = {(path, method.upper()) for path, calls in described["paths"].items() for method in calls}
    left_out = {
        "/openapi.json",
        "/favicon.ico",
        "/v1/events",
        "/v1/videos/{video_id}/events",
        "/v1/videos/characters/{character_id}",
    }
    app, _ = make_app(site.services)
    routes = {
        (route.path, method) for route in app.routes for method in getattr(route, "methods", ()) if method != "HEAD"
    }
    assert {route for route in routes if route[0] not in left_out} == named


def test_fields_of_the_document_are_those_that_are_read(site):
    described = site.ask("GET", "/openapi.json")["components"]["schemas"]["Asked"]["properties"]
    for name in described:
        reply = site.client.post("/v1/videos", json={"prompt": PROMPT, name: None})
        assert reply.status_code in (200, 400)
        assert "unknown_field" not in reply.text, name
    video = site.create()
    assert set(site.ask("GET", "/openapi.json")["components"]["schemas"]["Video"]["required"]) <= set(video)


def attack(site, examples):
    """Send examples of each operation, right ones and wrong ones; return what has failed."""
    found = []
    for outcome in schemathesis.openapi.from_url(f"{site.url}/openapi.json").get_all_operations():
        for mode in schemathesis.GenerationMode:
            # There is nothing wrong to be sent to a path without parameters.
            with contextlib.suppress(Unsatisfiable):
                send(outcome.ok().as_strategy(generation_mode=mode), examples, found)
    return found


def send(cases, examples, found):
    @settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def one(case):
        reply = case.call()
        if reply.status_code >= 500 and reply.status_code not in (501, 503):
            found.append((case.method, case.path, reply.status_code, reply.text[:300]))

    one()


def test_requests_that_are_made_out_of_the_document_never_fail_the_server(site):
    assert attack(site, 3) == []


@pytest.mark.slow
def test_many_requests_that_are_made_out_of_the_document_never_fail_the_server(site):
    assert attack(site, 200) == []


def test_the_version_is_said(site):
    assert re.fullmatch(r"\d+\.\d+.*", site.ask("GET", "/openapi.json")["info"]["version"])
