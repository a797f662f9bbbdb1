"""The server of an arena: the page, its calls, and the clips.

| call | what it does |
| --- | --- |
| `GET /` | the page, the same for everybody |
| `POST /api/session` | takes the secret of a rater's link, and keeps it in a cookie that no script can read |
| `POST /api/ballot` | gives the pair to judge, by an opaque name |
| `POST /api/vote` | takes a vote; the reply comes when it is on the disk |
| `POST /api/skip` | takes a pair back that does not play |
| `GET /media/{ballot}/{side}` | a clip of a pair that this rater was shown, also in parts |
| `GET /health` | says that the server works |
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mova.errors import ConfigError, MissingExtraError, MovaError
from mova.evaluate.arena.contents import Rater
from mova.evaluate.arena.database import is_failure
from mova.evaluate.arena.limits import Window
from mova.evaluate.arena.server.page import VOTING_POLICY, voting_page
from mova.evaluate.arena.voting import Booth, RefusedError
from mova.files.json_file import Fields, as_fields, parse_json
from mova.pages.security import SECURITY_HEADERS

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

COOKIE: Final = "arena_rater"
MOST_BODY_BYTES: Final = 4096
_BODY_S: Final = 10.0
_SESSION_S: Final = 30 * 24 * 3600
# Of one address, whose secrets are all nobody's.
_WRONG_SECRETS_PER_MINUTE: Final = 30
_MOST_CONNECTIONS: Final = 500
_LOG = logging.getLogger(__name__)

Call = Callable[["Request"], Awaitable["Response"]]
Asgi = Callable[..., Awaitable[Any]]


def make_app(booth: Booth, media: Path, title: str) -> FastAPI:
    """Return the application.

    Args:
        booth: that gives out pairs and takes votes.
        media: folder of the clips.
        title: of the page.

    Raises:
        MissingExtraError: FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "arena") from error
    app = FastAPI(title="arena", openapi_url=None, docs_url=None, redoc_url=None)
    calls = _Calls(booth, media, title)
    for path, method, call in (
        ("/", "GET", calls.page),
        ("/health", "GET", calls.health),
        ("/favicon.ico", "GET", calls.icon),
        ("/api/session", "POST", calls.session),
        ("/api/ballot", "POST", calls.ballot),
        ("/api/vote", "POST", calls.vote),
        ("/api/skip", "POST", calls.skip),
        ("/media/{ballot}/{side}", "GET", calls.media),
    ):
        app.add_route(path, _guarded(call), methods=[method])

    app.add_middleware(_Headers)
    return app


def run_server(app: FastAPI, host: str, port: int, on_ready: Callable[[int], None]) -> None:
    """Serve until the process is asked to end.

    Args:
        app: see `make_app`.
        host: address to listen at.
        port: 0 takes a free one.
        on_ready: called with the port once connections are taken.

    Raises:
        ConfigError: the address cannot be listened at.
        MissingExtraError: uvicorn is not installed.
    """
    import socket

    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "uvicorn", "arena") from error
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the server must be able to listen at {host} port {port}: {reason}") from error
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        lifespan="off",
    )
    with listening:
        on_ready(int(listening.getsockname()[1]))
        uvicorn.Server(config).run(sockets=[listening])


class _Headers:
    """Gives every reply the headers of `pages.security`, also those that the framework makes."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Asgi, send: Asgi) -> None:
        async def send_with(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                from fastapi.datastructures import Headers

                given = Headers(raw=message["headers"])
                wanted = {**SECURITY_HEADERS, "Content-Security-Policy": VOTING_POLICY, "Cache-Control": "no-store"}
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in wanted.items() if name not in given),
                ]
            await send(message)

        await self._app(scope, receive, send_with)


class _Calls:
    def __init__(self, booth: Booth, media: Path, title: str) -> None:
        self._booth, self._media = booth, media
        self._page = voting_page(title, booth.rules.watch)
        self._wrong = Window(_WRONG_SECRETS_PER_MINUTE, 60.0)

    async def page(self, _request: Request) -> Response:
        from fastapi.responses import HTMLResponse

        return HTMLResponse(self._page)

    async def health(self, _request: Request) -> Response:
        from fastapi.responses import PlainTextResponse

        return PlainTextResponse("ok")

    async def icon(self, _request: Request) -> Response:
        from fastapi.responses import Response

        # Browsers ask for one, and would complain of a page without.
        return Response(status_code=204)

    async def session(self, request: Request) -> Response:
        secret = (await _body(request)).text("secret")
        try:
            rater = await _aside(self._booth.rater, secret)
        except RefusedError as refusal:
            address = request.client.host if request.client else ""
            if (wait_s := self._wrong.take(address, time.monotonic())) > 0:
                raise RefusedError(429, "too_many", "Too many wrong links; please wait a minute.", wait_s) from refusal
            raise
        response = _json({"rater": rater.name})
        response.set_cookie(
            COOKIE,
            secret,
            max_age=_SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def ballot(self, request: Request) -> Response:
        await _body(request)
        rater = await self._rater(request)
        shown = await _aside(self._booth.show, rater)
        if shown is None:
            return _json({"done": True})
        return _json(
            {
                "done": False,
                "ballot": shown.ballot,
                "prompt": shown.prompt,
                "seconds": {"left": shown.seconds[0], "right": shown.seconds[1]},
                "expires_s": shown.expires_s,
                "num_left": shown.num_left,
            }
        )

    async def vote(self, request: Request) -> Response:
        sent = await _body(request)
        rater = await self._rater(request)
        is_new = await _aside(self._booth.vote, rater, sent)
        return _json({"counted": True, "is_new": is_new})

    async def skip(self, request: Request) -> Response:
        name = (await _body(request)).text("ballot")
        rater = await self._rater(request)
        await _aside(self._booth.skip, rater, name)
        return _json({"skipped": True})

    async def media(self, request: Request) -> Response:
        from fastapi.responses import FileResponse

        rater = await self._rater(request)
        names = request.path_params
        file = await _aside(self._booth.file_of, rater, str(names["ballot"]), str(names["side"]))
        path = self._media / file
        try:
            stated = await _aside(path.stat)
        except FileNotFoundError:
            raise RefusedError(404, "no_clip", "This clip is gone; please tell who runs the arena.") from None
        response = FileResponse(path, media_type="video/mp4", stat_result=stated)
        del response.headers["last-modified"]
        response.headers["Cache-Control"] = "private, max-age=3600"
        return response

    async def _rater(self, request: Request) -> Rater:
        rater: Rater = await _aside(self._booth.rater, request.cookies.get(COOKIE, ""))
        return rater


def _guarded(call: Call) -> Call:
    """Return a call whose refusals are replies, and whose faults say nothing of the server."""

    async def answer(request: Request) -> Response:
        try:
            return await call(request)
        except RefusedError as refusal:
            response = _json({"error": refusal.code, "text": refusal.text}, refusal.status)
            if refusal.retry_s > 0:
                response.headers["Retry-After"] = str(int(refusal.retry_s) + 1)
            return response
        except MovaError as error:
            return _json({"error": "wrong_form", "text": str(error)}, 400)
        except Exception as error:
            if not is_failure(error):
                raise
            _LOG.exception("the database has failed")
            return _json({"error": "unavailable", "text": "Please try again in a moment."}, 503)

    return answer


async def _body(request: Request) -> Fields:
    """Return the JSON object of a request of our own page.

    Raises:
        RefusedError: it is too large, comes too slowly, or from another page.
        ConfigError: it is no JSON object.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise RefusedError(403, "foreign", "This call belongs to the page of the arena.")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedError(415, "no_json", "A call must have the content type application/json.")
    try:
        async with asyncio.timeout(_BODY_S):
            read = bytearray()
            async for part in request.stream():
                read += part
                if len(read) > MOST_BODY_BYTES:
                    raise RefusedError(413, "too_large", f"A call has at most {MOST_BODY_BYTES} bytes.")
    except TimeoutError:
        raise RefusedError(408, "too_slow", "The call did not come to its end.") from None
    return as_fields(parse_json(bytes(read), "body", error=ConfigError), "body", error=ConfigError)


async def _aside(work: Callable[..., Any], *arguments: object) -> Any:
    from fastapi.concurrency import run_in_threadpool

    return await run_in_threadpool(work, *arguments)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    from fastapi.responses import JSONResponse

    return JSONResponse(value, status)
