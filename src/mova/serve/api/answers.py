"""Calls of the API: whatever goes wrong in one ends in a status and a text that helps, and in no word of the server."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from mova.database.database import is_failure
from mova.errors import MovaError
from mova.serve.access.gate import ROUTE
from mova.serve.artifacts import DiskFullError
from mova.serve.faults import error_body, fault_of
from mova.serve.jobs.records import ConflictError, FullError
from mova.web.calls import guarded, json_reply
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

Call = Callable[["Request"], Awaitable["Response"]]
_LOG = logging.getLogger(__name__)
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
# Storage that cannot be written now, or is not reached.
_AWAY: Final = (errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT)
_FULL_S: Final = 30.0
_CUT_OFF: Final = (408, 413, 503)


def answered(call: Call, route: str) -> Call:
    """Return a call that answers whatever happens in it.

    Args:
        call: of a route.
        route: its path, for logs and counts.
    """

    async def refusing(request: Request) -> Response:
        from starlette.requests import ClientDisconnect

        try:
            return await call(request)
        except ConflictError as error:
            raise RefusedError(409, error.code, str(error)) from error
        except FullError as error:
            raise RefusedError(429, "too_many_queued", str(error), _FULL_S) from error
        except DiskFullError as error:
            raise _no_room() from error
        except ClientDisconnect:
            # Nobody reads it.
            raise RefusedError(400, "gone", "the request ended before it was complete") from None
        except MovaError as error:
            raise fault_of(error) from error
        except OSError as error:
            if (refusal := _of_storage(error)) is None:
                raise
            raise refusal from error

    outer = guarded(refusing, is_failure, error_body)

    async def answer(request: Request) -> Response:
        request.scope[ROUTE] = route
        try:
            response = await outer(request)
        except Exception:
            _LOG.exception("a call has failed")
            fault = RefusedError(500, "internal_error", "the server has failed at this; its log says why")
            response = json_reply(error_body(fault), fault.status)
        if response.status_code in _CUT_OFF:
            # The rest of the body may not have been read.
            response.headers["Connection"] = "close"
        return response

    return answer


def _of_storage(error: OSError) -> RefusedError | None:
    """Return the refusal that an error of the disk means; None where it is a fault of ours."""
    if error.errno in _NO_ROOM:
        return _no_room()
    if error.errno in _AWAY:
        _LOG.error("the storage has failed", exc_info=error)
        return RefusedError(503, "unavailable", "files cannot be kept or read right now", _FULL_S)
    return None


def _no_room() -> RefusedError:
    _LOG.error("there is no room on the disk")
    return RefusedError(507, "disk_full", "there is no room for files on the server", _FULL_S)
