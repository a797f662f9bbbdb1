"""Calls of a server: work beside the event loop, replies in JSON, refusals that say nothing of the server."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from mova.errors import MovaError
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

_P = ParamSpec("_P")
_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)

Call = Callable[["Request"], Awaitable["Response"]]


def plain_body(refusal: RefusedError) -> Mapping[str, object]:
    """Return what a refusal says in JSON: `error` for programs, `text` for people."""
    return {"error": refusal.code, "text": refusal.text}


def guarded(
    call: Call,
    is_failure: Callable[[BaseException], bool],
    body: Callable[[RefusedError], Mapping[str, object]] = plain_body,
) -> Call:
    """Return a call whose refusals are replies, and whose faults say nothing of the server.

    Args:
        call: that answers.
        is_failure: says of an error whether it is the database's, which may be back in a moment.
        body: what a refusal says in JSON.
    """

    async def answer(request: Request) -> Response:
        try:
            return await call(request)
        except RefusedError as error:
            refusal = error
        except MovaError as error:
            refusal = RefusedError(400, "wrong_form", str(error))
        except Exception as error:
            if not is_failure(error):
                raise
            _LOG.exception("the database has failed")
            refusal = RefusedError(503, "unavailable", "Please try again in a moment.")
        response = json_reply(body(refusal), refusal.status)
        if refusal.retry_s > 0:
            response.headers["Retry-After"] = str(int(refusal.retry_s) + 1)
        return response

    return answer


async def aside(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return what a function returns that waits for disks or locks; the event loop goes on meanwhile."""
    from fastapi.concurrency import run_in_threadpool

    done: _T = await run_in_threadpool(work, *args, **kwargs)
    return done


def json_reply(value: Mapping[str, object], status: int = 200) -> Response:
    """Return a reply of JSON."""
    from fastapi.responses import JSONResponse

    return JSONResponse(value, status)
