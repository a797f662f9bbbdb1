"""Bodies of requests: of a bounded size, read within a bounded time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mova.errors import ConfigError
from mova.files.json_file import Fields, as_fields, parse_json
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request


async def read_body(request: Request, most_bytes: int, limit_s: float) -> bytes:
    """Return the body of a request.

    Args:
        request: whose body it is.
        most_bytes: that it may have.
        limit_s: seconds within which all of it must have come.

    Raises:
        RefusedError: it is too large or comes too slowly.
    """
    try:
        async with asyncio.timeout(limit_s):
            read = bytearray()
            async for part in request.stream():
                read += part
                if len(read) > most_bytes:
                    raise RefusedError(413, "too_large", f"A call has at most {most_bytes} bytes.")
    except TimeoutError:
        raise RefusedError(408, "too_slow", "The call did not come to its end.") from None
    return bytes(read)


async def read_fields(request: Request, most_bytes: int, limit_s: float) -> Fields:
    """Return the JSON object of a request; see `read_body`.

    Raises:
        RefusedError: it is not called JSON, is too large or comes too slowly.
        ConfigError: it is no JSON object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedError(415, "no_json", "A call must have the content type application/json.")
    read = await read_body(request, most_bytes, limit_s)
    return as_fields(parse_json(read, "body", error=ConfigError), "body", error=ConfigError)


def check_origin(request: Request, owner: str) -> None:
    """Refuse what a page of another server sends.

    Args:
        request: that came.
        owner: whose page may send it, such as `the arena`.

    Raises:
        RefusedError: it comes from another page.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise RefusedError(403, "foreign", f"This call belongs to the page of {owner}.")
