"""Listening at an address, and serving until the process is asked to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mova.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from fastapi import FastAPI


def run_server(
    app: FastAPI,
    host: str,
    port: int,
    on_ready: Callable[[int], None],
    *,
    extra: str,
    most_connections: int = 500,
    grace_s: int = 5,
    on_stop: Callable[[], None] = lambda: None,
    silence_s: float = 30.0,
) -> None:
    """Serve until the process is asked to end.

    Args:
        app: what answers.
        host: address to listen at.
        port: 0 takes a free one.
        on_ready: called with the port once connections are taken.
        extra: of this package, which brings uvicorn.
        most_connections: at a time; more are answered with 503.
        grace_s: seconds that replies under way have to end in.
        silence_s: seconds after which a connection without a whole request is ended.
        on_stop: called when the process is asked to end, before those seconds begin.

    Raises:
        ConfigError: the address cannot be listened at.
        MissingExtraError: uvicorn is not installed.
    """
    import socket

    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "uvicorn", extra) from error
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
        limit_concurrency=most_connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=grace_s,
        lifespan="off",
        http=_hurried(silence_s),
    )

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            on_stop()
            await super().shutdown(sockets)

    with listening:
        on_ready(int(listening.getsockname()[1]))
        Server(config).run(sockets=[listening])


def _hurried(silence_s: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, which does not wait for ever for the head of a request.

    Whoever opens a connection and says nothing, or one letter at a time, would keep a place from others.
    """
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Hurried(AutoHTTPProtocol):
        seen: object = None
        look: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.look = self.loop.call_later(silence_s, self.hurry)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.look is not None:
                self.look.cancel()
            super().connection_lost(exc)

        def hurry(self) -> None:
            is_silent = self.cycle is None or self.cycle.response_complete
            if is_silent and self.cycle is self.seen:
                self.transport.close()
                return
            self.seen = self.cycle
            self.look = self.loop.call_later(silence_s, self.hurry)

    return Hurried
