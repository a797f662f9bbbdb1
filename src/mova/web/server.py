"""Listening at an address, and serving until the process is asked to end."""

from __future__ import annotations

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
    )

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            on_stop()
            await super().shutdown(sockets)

    with listening:
        on_ready(int(listening.getsockname()[1]))
        Server(config).run(sockets=[listening])
