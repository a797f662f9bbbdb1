"""Bodies of requests."""

import asyncio

import pytest
from fastapi import Request

from mova.errors import ConfigError
from mova.web.body import check_origin, read_body, read_fields
from mova.web.refusals import RefusedError

JSON = {"content-type": "application/json; charset=utf-8"}


def request(*parts, pause_s=0.0, **headers):
    left = list(parts)

    async def receive():
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": given}, receive)


def test_parts_are_joined_up_to_the_limit():
    assert asyncio.run(read_body(request(b"abc", b"de"), 5, 60.0)) == b"abcde"
    with pytest.raises(RefusedError, match="at most 4 bytes") as caught:
        asyncio.run(read_body(request(b"abc", b"de"), 4, 60.0))
    assert caught.value.status == 413


def test_a_body_that_does_not_come_is_given_up():
    with pytest.raises(RefusedError) as caught:
        asyncio.run(read_body(request(b"abc", pause_s=30.0), 5, 0.05))
    assert caught.value.status == 408


def test_a_json_object_is_read():
    assert asyncio.run(read_fields(request(b'{"a": "b"}', **JSON), 100, 60.0)).text("a") == "b"
    for body in (b"[]", b"{", b"\xff"):
        with pytest.raises(ConfigError, match="body"):
            asyncio.run(read_fields(request(body, **JSON), 100, 60.0))
    with pytest.raises(RefusedError) as caught:
        asyncio.run(read_fields(request(b"{}", content_type="text/plain"), 100, 60.0))
    assert caught.value.status == 415


def test_only_the_own_page_sends():
    check_origin(request(b""), "the arena")
    check_origin(request(b"", origin="http://here:1", host="here:1"), "the arena")
    with pytest.raises(RefusedError, match="the page of the arena"):
        check_origin(request(b"", origin="http://there:1", host="here:1"), "the arena")
