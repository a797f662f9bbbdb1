"""Whatever goes wrong ends in a status and a text that helps."""

import asyncio
import errno
import logging
import sqlite3

import pytest
from starlette.requests import ClientDisconnect, Request

from mova.errors import GeometryError
from mova.serve.api.answers import answered
from mova.serve.artifacts import DiskFullError
from mova.serve.jobs.records import ConflictError, FullError
from mova.web.calls import json_reply
from mova.web.refusals import RefusedError
from serve_site import PROMPT, served


def request():
    return Request({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""})


def answer_to(error):
    async def call(_request):
        raise error

    return asyncio.run(answered(call, "/x")(request()))


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RefusedError(429, "too_many", "slower", 2.5), 429, b"slower"),
        (GeometryError("frames must be 1 plus a multiple of 4, got 50; nearest are 49 and 53"), 400, b"num_frames"),
        (ConflictError("a job must wait", "wrong_state"), 409, b"wrong_state"),
        (FullError("at most 3", is_own=False), 429, b"too_many_queued"),
        (DiskFullError("no room"), 507, b"disk_full"),
        (OSError(errno.ENOSPC, "No space left on device", "/secret/path"), 507, b"disk_full"),
        (OSError(errno.EROFS, "Read-only file system", "/secret/path"), 503, b"unavailable"),
        (ClientDisconnect(), 400, b"gone"),
        (RuntimeError("secret"), 500, b"internal_error"),
        (OSError(errno.EACCES, "Permission denied", "/secret/path"), 500, b"internal_error"),
    ],
)
def test_an_error_is_a_reply_that_says_nothing_of_the_server(error, status, text, caplog):
    caplog.set_level(logging.CRITICAL)
    reply = answer_to(error)
    assert reply.status_code == status
    assert text in reply.body
    assert b"secret" not in reply.body


def test_a_reply_goes_through_and_one_that_cuts_a_body_off_ends_the_connection():
    async def call(_request):
        return json_reply({"a": 1})

    assert asyncio.run(answered(call, "/x")(request())).body == b'{"a":1}'
    assert answer_to(RefusedError(413, "too_large", "x")).headers["connection"] == "close"


def test_a_database_that_is_locked_or_away_is_back_when_it_is_back(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    with served(tmp_path) as site:
        made = site.create()["id"]
        path = tmp_path / "data" / "jobs.sqlite3"
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        refused = site.client.post("/v1/videos", json={"prompt": PROMPT})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        other.execute("ROLLBACK")
        other.close()
        assert site.create()["status"] == "queued"
        site.store.database.close()
        path.rename(path.with_name("away"))
        (tmp_path / "data" / "jobs.sqlite3").mkdir()
        assert site.client.get(f"/v1/videos/{made}").status_code == 503
        (tmp_path / "data" / "jobs.sqlite3").rmdir()
        path.with_name("away").rename(path)
        assert site.ask("GET", f"/v1/videos/{made}")["id"] == made
