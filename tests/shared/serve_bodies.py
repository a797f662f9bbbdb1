"""Requests with bodies for tests, in parts that come when they come."""

import asyncio

from starlette.requests import Request

BOUNDARY = "edge"


def form(*parts):
    """Return the bytes of a form: (name, text), or (name, file name, bytes)."""
    written = b""
    for name, *rest in parts:
        head = f'form-data; name="{name}"' + (f'; filename="{rest[0]}"' if len(rest) == 2 else "")
        content = rest[-1] if isinstance(rest[-1], bytes) else rest[-1].encode()
        written += f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n"
    return written + f"--{BOUNDARY}--\r\n".encode()


def request(content, kind=f"multipart/form-data; boundary={BOUNDARY}", *, size=1000, wait_s=0.0, ends=True, **headers):
    """Return a request whose body comes in parts of `size` bytes, `wait_s` apart; one that does not end waits on."""
    parts = [content[start : start + size] for start in range(0, len(content), size)]

    async def receive():
        if not parts:
            if ends:
                return {"type": "http.request", "body": b"", "more_body": False}
            await asyncio.sleep(3600)
        if wait_s:
            await asyncio.sleep(wait_s)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts) or not ends}

    given = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value is not None],
    }
    return Request(scope, receive)


def gone():
    """Return a request whose sender goes away in the middle."""
    parts = [{"type": "http.request", "body": form(("prompt", "a"))[:20], "more_body": True}]

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    content_type = f"multipart/form-data; boundary={BOUNDARY}".encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", content_type)],
    }
    return Request(scope, receive)
