"""The application: routes, headers, and what is said where there is no route.

| call | what it does |
| --- | --- |
| `POST /v1/videos` | queues clips |
| `POST /v1/videos/extensions`, `/edits` | go on from a clip, or make parts of it anew |
| `GET /v1/videos`, `GET /v1/videos/{id}` | say how clips are |
| `PATCH`, `DELETE /v1/videos/{id}`, `POST .../cancel`, `hold`, `release`, `move`, `duplicate`, `remix` | change them |
| `GET /v1/videos/{id}/content`, `/download` | give files |
| `GET /v1/videos/{id}/events`, `GET /v1/events` | give changes as they come |
| `GET /v1/queue`, `POST /v1/queue/pause`, `/resume` | the queue |
| `GET /v1/models`, `GET /v1/plan` | what the model offers, and what a clip will cost |
| `POST /v1/enhance` | a prompt that the model knows |
| `GET`, `POST`, `DELETE /v1/session` | the key of the page |
| `GET /health`, `/ready`, `/metrics`, `/openapi.json` | for programs |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mova.errors import MissingExtraError
from mova.pages.security import SECURITY_HEADERS
from mova.serve.access.gate import GateMiddleware
from mova.serve.api.answers import Call, answered
from mova.serve.api.content import Content
from mova.serve.api.enhance import Enhancement
from mova.serve.api.events import Events
from mova.serve.api.onward import Onward
from mova.serve.api.openapi import document
from mova.serve.api.queue import QueueCalls
from mova.serve.api.services import Services
from mova.serve.api.state import State
from mova.serve.api.videos import Videos
from mova.serve.faults import error_body
from mova.web.calls import json_reply
from mova.web.headers import Headers
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of every reply that has no other."""
_TEXTS: Final = {404: "there is nothing at this path", 405: "this path does not take this method"}


@dataclass(frozen=True)
class PageFile:
    """A file of the page.

    Attributes:
        content: text.
        kind: content type.
        headers: in place of those of every reply, such as its Content-Security-Policy.
    """

    content: str
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def make_app(services: Services, pages: Mapping[str, PageFile] | None = None) -> tuple[FastAPI, Events]:
    """Return the application, and its streams of events, which are to be closed first.

    Args:
        services: parts of the server.
        pages: files of the page, by path.

    Raises:
        MissingExtraError: FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
        from starlette.exceptions import HTTPException
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    app = FastAPI(title="mova", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    events = _add_routes(app, services)
    for path, page in (pages or {}).items():
        app.add_route(path, answered(_page(page), path), methods=["GET"])
    app.add_exception_handler(HTTPException, _said)
    app.add_middleware(GateMiddleware, gate=services.gate, on_done=services.metrics.done)
    headers = {**SECURITY_HEADERS, "Content-Security-Policy": API_POLICY, "Cache-Control": "no-store"}
    app.add_middleware(Headers, headers=headers)
    return app, events


def _add_routes(app: FastAPI, services: Services) -> Events:
    videos = Videos(services)
    queue, content = QueueCalls(services, videos), Content(services, videos)
    state, enhancement = State(services, queue), Enhancement(services, videos)
    events, onward = Events(services, videos, queue), Onward(services, videos)
    described = document(services.offer, services.settings)

    async def openapi(_request: Request) -> Response:
        return json_reply(described)

    one = "/v1/videos/{video_id}"
    routes: tuple[tuple[str, str, Call], ...] = (
        ("GET", "/health", state.health),
        ("GET", "/ready", state.ready),
        ("GET", "/metrics", state.metrics),
        ("GET", "/openapi.json", openapi),
        ("GET", "/favicon.ico", _icon),
        ("GET", "/v1/session", state.session),
        ("POST", "/v1/session", state.begin_session),
        ("DELETE", "/v1/session", state.end_session),
        ("GET", "/v1/models", state.models),
        ("GET", "/v1/models/{model}", state.model),
        ("GET", "/v1/plan", state.plan),
        ("POST", "/v1/enhance", enhancement.enhance),
        ("GET", "/v1/events", events.all),
        ("GET", "/v1/queue", queue.queue),
        ("POST", "/v1/queue/pause", queue.pause),
        ("POST", "/v1/queue/resume", queue.resume),
        ("POST", "/v1/videos", videos.create),
        ("GET", "/v1/videos", videos.page),
        # What OpenAI's client offers beside it, before the paths with an id.
        ("POST", "/v1/videos/edits", onward.edit),
        ("POST", "/v1/videos/extensions", onward.extend),
        ("POST", "/v1/videos/characters", videos.missing),
        ("GET", "/v1/videos/characters/{character_id}", videos.missing),
        ("GET", one, videos.get),
        ("PATCH", one, queue.edit),
        ("DELETE", one, videos.delete),
        ("GET", f"{one}/content", content.content),
        ("GET", f"{one}/download", content.download),
        ("GET", f"{one}/events", events.one),
        ("POST", f"{one}/remix", videos.remix),
        ("POST", f"{one}/cancel", queue.cancel),
        ("POST", f"{one}/hold", queue.hold),
        ("POST", f"{one}/release", queue.release),
        ("POST", f"{one}/duplicate", queue.duplicate),
        ("POST", f"{one}/move", queue.move),
    )
    for method, path, call in routes:
        app.add_route(path, answered(call, path), methods=[method])
    return events


def _page(page: PageFile) -> Call:
    async def give(_request: Request) -> Response:
        from fastapi.responses import Response

        return Response(page.content, headers={"Content-Type": page.kind, **page.headers})

    return give


async def _icon(_request: Request) -> Response:
    from fastapi.responses import Response

    # Browsers ask for one, and would complain of a server without.
    return Response(status_code=204)


async def _said(_request: Request, error: Exception) -> Response:
    """Say in our form what the framework refuses."""
    status = int(getattr(error, "status_code", 500))
    fault = RefusedError(
        status, "not_found" if status == 404 else "not_allowed", _TEXTS.get(status, "this cannot be done")
    )
    response = json_reply(error_body(fault), status)
    for name, value in (getattr(error, "headers", None) or {}).items():
        response.headers[name] = value
    return response
