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

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.database.database import is_failure
from mova.errors import MissingExtraError
from mova.evaluate.arena.contents import Rater
from mova.evaluate.arena.server.page import VOTING_POLICY, voting_page
from mova.evaluate.arena.voting import Booth
from mova.files.json_file import Fields
from mova.pages.security import SECURITY_HEADERS
from mova.web.body import check_origin, read_fields
from mova.web.calls import aside, guarded, json_reply
from mova.web.headers import Headers
from mova.web.limits import Window
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

COOKIE: Final = "arena_rater"
MOST_BODY_BYTES: Final = 4096
_BODY_S: Final = 10.0
_SESSION_S: Final = 30 * 24 * 3600
# Of one address, whose secrets are all nobody's.
_WRONG_SECRETS_PER_MINUTE: Final = 30


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
        app.add_route(path, guarded(call, is_failure), methods=[method])

    headers = {**SECURITY_HEADERS, "Content-Security-Policy": VOTING_POLICY, "Cache-Control": "no-store"}
    app.add_middleware(Headers, headers=headers)
    return app


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
            rater = await aside(self._booth.rater, secret)
        except RefusedError as refusal:
            address = request.client.host if request.client else ""
            if (wait_s := self._wrong.take(address, time.monotonic())) > 0:
                raise RefusedError(429, "too_many", "Too many wrong links; please wait a minute.", wait_s) from refusal
            raise
        response = json_reply({"rater": rater.name})
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
        shown = await aside(self._booth.show, rater)
        if shown is None:
            return json_reply({"done": True})
        return json_reply(
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
        is_new = await aside(self._booth.vote, rater, sent)
        return json_reply({"counted": True, "is_new": is_new})

    async def skip(self, request: Request) -> Response:
        name = (await _body(request)).text("ballot")
        rater = await self._rater(request)
        await aside(self._booth.skip, rater, name)
        return json_reply({"skipped": True})

    async def media(self, request: Request) -> Response:
        from fastapi.responses import FileResponse

        rater = await self._rater(request)
        names = request.path_params
        file = await aside(self._booth.file_of, rater, str(names["ballot"]), str(names["side"]))
        path = self._media / file
        try:
            stated = await aside(path.stat)
        except FileNotFoundError:
            raise RefusedError(404, "no_clip", "This clip is gone; please tell who runs the arena.") from None
        response = FileResponse(path, media_type="video/mp4", stat_result=stated)
        del response.headers["last-modified"]
        response.headers["Cache-Control"] = "private, max-age=3600"
        return response

    async def _rater(self, request: Request) -> Rater:
        return await aside(self._booth.rater, request.cookies.get(COOKIE, ""))


async def _body(request: Request) -> Fields:
    check_origin(request, "the arena")
    return await read_fields(request, MOST_BODY_BYTES, _BODY_S)
