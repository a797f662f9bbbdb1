"""The door of the server: by which name it is called, from which page, with which key, and what the call is named.

A page of another site can send requests to this machine, and one whose name is made to lead here (DNS rebinding) can
read the answers too. So a name that nobody gave the server is refused, and so is whatever changes something and comes
from another page.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mova.errors import MovaError
from mova.serve.access.keys import Keys
from mova.serve.faults import error_body
from mova.serve.settings import QuotaSection, ServeSettings
from mova.web.calls import json_reply
from mova.web.limits import Room, Window
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request

COOKIE: Final = "mova_key"
REQUEST_ID: Final = "X-Request-Id"
ROUTE: Final = "mova.route"
"""Where a call notes the path of its route."""
SHARE: Final = "mova.share"
"""Where a call finds what it has of the bytes that all requests may have at a time."""
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_WRONG_KEYS_PER_MINUTE: Final = 30
_BEARER: Final = "bearer "
_LOG = logging.getLogger(__name__)
_request_id: ContextVar[str] = ContextVar("request_id", default="-")

Asgi = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        owner: of what is made: id of the key; "" where no keys are needed.
        name: of the key.
        is_admin: whether all jobs are seen, and the queue is theirs.
        quota: limits; None without.
    """

    owner: str
    name: str
    is_admin: bool
    quota: QuotaSection | None = None

    @property
    def sees(self) -> str | None:
        """Whose jobs are seen; None for all."""
        return None if self.is_admin else self.owner

    @property
    def most_open(self) -> int | None:
        """How many clips may wait or be made; None without a limit."""
        return None if self.quota is None else self.quota.queued


NOBODY: Final = Caller("", "", is_admin=True)
"""Whoever asks where no keys are needed."""


class Gate:
    """Checks of what comes in.

    Args:
        settings: host names, limits of keys.
        keys: None where none are needed.

    Attributes:
        room: bytes that all requests may have at a time.
    """

    def __init__(self, settings: ServeSettings, keys: Keys | None) -> None:
        self._settings, self._keys = settings, keys
        self._names = {"localhost", settings.host.lower(), *settings.hosts}
        self._wrong = Window(_WRONG_KEYS_PER_MINUTE, 60.0)
        self.room = Room(max(settings.limits.incoming_bytes, settings.limits.upload_bytes))

    @property
    def needs_key(self) -> bool:
        """Whether keys are in force."""
        return self._keys is not None

    def check(self, method: str, headers: Mapping[str, str]) -> None:
        """Refuse a request by its headers.

        Args:
            method: of HTTP.
            headers: names in small letters.

        Raises:
            RefusedError: a host that is not this server's, or another page behind it.
        """
        host = headers.get("host", "")
        if not self._is_known(host):
            raise RefusedError(
                421, "unknown_host", "this server does not answer under this name; add it to hosts in the settings"
            )
        if method in _SAFE_METHODS:
            return
        origin = headers.get("origin")
        is_foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
        if is_foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise RefusedError(403, "foreign", "this call belongs to the page of this server")

    def caller(self, request: Request) -> Caller:
        """Return who asks.

        Raises:
            RefusedError: no key, or none that is known.
        """
        if self._keys is None:
            return NOBODY
        return self.caller_of(secret_of(request), request)

    def caller_of(self, secret: str, request: Request) -> Caller:
        """Return whose a secret is; errors as of `caller`."""
        if self._keys is None:
            return NOBODY
        try:
            key = self._keys.find(secret)
        except MovaError:
            _LOG.exception("the file of keys cannot be read")
            raise RefusedError(503, "unavailable", "keys cannot be checked right now", 5.0) from None
        if key is not None:
            return Caller(key.id, key.name, key.is_admin, key.quota or self._settings.quota)
        address = request.client.host if request.client else ""
        if secret and (wait_s := self._wrong.take(address, time.monotonic())) > 0:
            raise RefusedError(429, "too_many", "too many wrong keys; please wait a minute", wait_s)
        raise RefusedError(401, "invalid_api_key", "a request must have the header Authorization: Bearer KEY")

    def admin(self, request: Request) -> Caller:
        """Return who asks, who must be an administrator.

        Raises:
            RefusedError: it is somebody else.
        """
        caller = self.caller(request)
        if not caller.is_admin:
            raise RefusedError(403, "not_admin", "this call needs a key of an administrator")
        return caller

    def _is_known(self, host: str) -> bool:
        name = _name_of(host)
        if not name:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            # With keys a foreign name gains nothing: cookies and keys of this server are not sent to it.
            return name in self._names or name.endswith(".localhost") or (self.needs_key and not self._settings.hosts)
        return True


class GateMiddleware:
    """Names every request, looks at its headers before anything else does, and writes a line of log.

    Args:
        app: that answers.
        gate: that checks.
        on_done: told the method, the route, the status and the seconds of each call.
    """

    def __init__(
        self, app: Asgi, gate: Gate, on_done: Callable[[str, str, int, float], None] = lambda *_: None
    ) -> None:
        self._app, self._gate, self._on_done = app, gate, on_done

    async def __call__(self, scope: MutableMapping[str, Any], receive: Asgi, send: Asgi) -> None:
        """Answer as ASGI asks for."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, status, begun_s = f"req_{secrets.token_hex(8)}", 500, time.monotonic()
        token = _request_id.set(name)
        share = scope[SHARE] = self._gate.room.share()

        async def send_with(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message["headers"], (REQUEST_ID.lower().encode(), name.encode())]
            await send(message)

        try:
            await self._answer(scope, receive, send_with)
        finally:
            share.give_back()
            spent_s = time.monotonic() - begun_s
            route = str(scope.get(ROUTE, ""))
            self._on_done(scope["method"], route, status, spent_s)
            # The route and not the path: what a stranger writes into a path has no place in a log.
            # Whoever polls would fill it.
            level = logging.DEBUG if scope["method"] in _SAFE_METHODS and status < 400 else logging.INFO
            _LOG.log(level, "%s %s %d %.0f ms", scope["method"], route or "-", status, spent_s * 1000)
            _request_id.reset(token)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Asgi, send: Asgi) -> None:
        headers = [(key.decode("latin-1").lower(), value.decode("latin-1")) for key, value in scope["headers"]]
        try:
            if sum(key == "host" for key, _ in headers) != 1:
                raise RefusedError(400, "no_host", "a request must have the header Host once")
            self._gate.check(scope["method"], dict(headers))
        except RefusedError as refusal:
            reply = json_reply(error_body(refusal), refusal.status)
            reply.headers["Connection"] = "close"
            await reply(scope, receive, send)
            return
        await self._app(scope, receive, send)


class RequestIdFilter(logging.Filter):
    """Gives each line of log the id of the request that it is about, as `request_id`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Name it."""
        vars(record)["request_id"] = _request_id.get()
        return True


def secret_of(request: Request) -> str:
    """Return the key that a request has in its header or its cookie; "" without."""
    given = str(request.headers.get("authorization", ""))
    if given[: len(_BEARER)].lower() == _BEARER:
        return given[len(_BEARER) :].strip()
    return str(request.cookies.get(COOKIE, ""))


def _name_of(host: str) -> str:
    """Return a host without its port, in small letters."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return (host.rpartition(":")[0] if host.count(":") == 1 else host).lower().rstrip(".")
