"""Headers that every reply of a server has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Asgi = Callable[..., Awaitable[Any]]


class Headers:
    """Middleware that gives every reply headers where it lacks them, also to those that the framework makes.

    Args:
        app: whose replies they are.
        headers: by name.
    """

    def __init__(self, app: Asgi, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Asgi, send: Asgi) -> None:
        """Answer as ASGI asks for."""

        async def send_with(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in self._headers if one[0] not in given)]
            await send(message)

        await self._app(scope, receive, send_with)
