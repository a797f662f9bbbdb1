"""Headers of every reply."""

import asyncio

from mova.web.headers import Headers


def reply_of(*given):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": list(given)})
        await send({"type": "http.response.body", "body": b""})

    async def send(message):
        sent.append(message)

    asyncio.run(Headers(app, {"Cache-Control": "no-store", "X-One": "1"})({"type": "http"}, None, send))
    return sent


def test_what_a_reply_lacks_is_added():
    start, body = reply_of((b"content-type", b"text/plain"))
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"cache-control", b"no-store"), (b"x-one", b"1")]
    assert body == {"type": "http.response.body", "body": b""}


def test_what_a_reply_says_itself_stays():
    assert reply_of((b"Cache-Control", b"private"))[0]["headers"] == [(b"Cache-Control", b"private"), (b"x-one", b"1")]
