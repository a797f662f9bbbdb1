"""Children that decode uploads: started ahead, so that nobody waits for their imports; lost ones are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from mova.errors import MovaError
from mova.files.guarded import GuardedProcess, Lost
from mova.serve.faults import FieldError
from mova.serve.intake.examine import warm
from mova.web.calls import aside
from mova.web.refusals import RefusedError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_WARM_S: Final = 120.0
_MEMORY_BYTES: Final = 2 << 30


class Decoders:
    """Some guarded children.

    Args:
        count: of children.
        limit_s: seconds that one call may take, and that one may wait for a free child.
        memory_bytes: that a child may take.
    """

    def __init__(self, count: int, limit_s: float, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._limit_s = limit_s
        self._children = [GuardedProcess(memory_bytes) for _ in range(count)]
        self._free: asyncio.Queue[GuardedProcess] = asyncio.Queue()
        for child in self._children:
            self._free.put_nowait(child)
        # A child takes one call at a time; whoever warms it up and whoever needs it first must not meet.
        self._locks = {id(child): threading.Lock() for child in self._children}
        self._is_closed = False

    def start(self) -> None:
        """Start the children; returns at once."""
        for child in self._children:
            threading.Thread(target=self._warm, args=(child,), daemon=True).start()

    async def call(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function in a child that is free.

        Raises:
            FieldError: the child was lost: it took too long, too much memory, or crashed.
            RefusedError: no child became free.
            MovaError: what the function raised.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                child = await self._free.get()
        except TimeoutError:
            raise RefusedError(503, "busy", "all decoders are busy; please try again in a moment", 5.0) from None
        try:
            found = await aside(self._call, child, function, args, kwargs)
        finally:
            self._free.put_nowait(child)
        if isinstance(found, Lost):
            raise FieldError(f"media must be decodable within limits of time and memory; {found.name}", code=found.name)
        done: _T = found
        return done

    def close(self) -> None:
        """End the children."""
        self._is_closed = True
        for child in self._children:
            child.close()

    def _call(self, child: GuardedProcess, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        with self._locks[id(child)]:
            return child.call(function, self._limit_s, *args, **kwargs)

    def _warm(self, child: GuardedProcess) -> None:
        with self._locks[id(child)], contextlib.suppress(MovaError):
            if not self._is_closed:
                child.call(warm, _WARM_S)
