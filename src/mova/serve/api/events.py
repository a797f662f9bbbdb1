"""Changes of clips as server-sent events: one look at the database twice a second, however many listen."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mova.serve.access.gate import Caller
from mova.serve.api.queue import QueueCalls
from mova.serve.api.services import Services
from mova.serve.api.videos import Videos
from mova.serve.jobs.records import Job, JobState
from mova.web.calls import aside
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

_LOG = logging.getLogger(__name__)
_LOOK_S: Final = 0.5
_ALIVE_S: Final = 15.0
_NEWEST: Final = 50
_MOST_WAITING: Final = 500
_RUNNING: Final = (JobState.RUNNING,)
_BUSY_S: Final = 10.0


@dataclass(eq=False)
class _Listener:
    """Somebody who listens.

    Attributes:
        sees: whose clips; None for all.
        only: id of the one clip that it is about, or "".
        waiting: events that are to be sent; None ends the stream.
    """

    sees: str | None
    only: str = ""
    waiting: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))

    def put(self, event: bytes | None) -> None:
        """Keep an event; whoever does not read is sent away, and comes again to what is then."""
        if event is not None and self.waiting.qsize() < _MOST_WAITING - 1:
            self.waiting.put_nowait(event)
            return
        while not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(None)


class Events:
    """Calls that give streams of events.

    Args:
        services: parts of the server.
        videos: calls about clips.
        queue: calls about the queue.
    """

    def __init__(self, services: Services, videos: Videos, queue: QueueCalls) -> None:
        self._services, self._videos, self._queue = services, videos, queue
        self._listeners: list[_Listener] = []
        self._known: dict[str, Job] = {}
        self._last_queue: dict[str | None, dict[str, object]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    async def all(self, request: Request) -> Response:
        """Give the changes of all clips of whoever asks; first how the newest and the open ones are."""
        caller = await self._videos.caller(request)
        listener = _Listener(caller.sees)
        return self._stream(listener, self._first(listener, caller))

    async def one(self, request: Request) -> Response:
        """Give the changes of one clip, until it has ended."""
        caller = await self._videos.caller(request)
        job = await self._videos.job(request, caller)
        listener = _Listener(caller.sees, job.id)
        return self._stream(listener, self._first_of(job.id))

    def close(self) -> None:
        """End all streams; may be called from a signal handler."""
        self._is_closed = True
        for listener in self._listeners:
            listener.put(None)

    def _stream(self, listener: _Listener, first: AsyncIterator[bytes | None]) -> Response:
        from fastapi.responses import StreamingResponse

        if len(self._listeners) >= self._services.settings.limits.streams:
            raise RefusedError(503, "busy", "too many streams of events are open", _BUSY_S)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._said(listener, first), headers=headers, media_type="text/event-stream")

    async def _said(self, listener: _Listener, first: AsyncIterator[bytes | None]) -> AsyncIterator[bytes]:
        self._listeners.append(listener)
        self._services.metrics.streams(1)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            async for event in first:
                if event is None:
                    return
                yield event
            while not self._is_closed:
                try:
                    async with asyncio.timeout(_ALIVE_S):
                        event = await listener.waiting.get()
                except TimeoutError:
                    event = b": alive\n\n"
                if event is None:
                    return
                yield event
                if listener.only and _is_last(event):
                    return
        finally:
            self._listeners.remove(listener)
            self._services.metrics.streams(-1)

    async def _first(self, listener: _Listener, caller: Caller) -> AsyncIterator[bytes | None]:
        yield b"retry: 2000\n\n"
        jobs = await aside(self._snapshot, listener.sees)
        for job in sorted(jobs.values(), key=lambda one: one.number):
            yield await aside(self._event_of, job)
        yield _event("queue", await aside(self._queue.said_of_queue, caller, with_videos=False))

    async def _first_of(self, name: str) -> AsyncIterator[bytes | None]:
        yield b"retry: 2000\n\n"
        # Read again, now that changes are listened to.
        job = await aside(self._services.store.get, name)
        yield _event("deleted", {"id": name}) if job is None else await aside(self._event_of, job)
        if job is None or job.state.is_final:
            yield None

    async def _look(self) -> None:
        """Look for changes for as long as somebody listens."""
        try:
            self._known = await aside(self._snapshot, None)
            while self._listeners:
                await asyncio.sleep(_LOOK_S)
                try:
                    await self._tell()
                except Exception:
                    # The database may be back at the next look.
                    _LOG.exception("changes of clips cannot be read")
        finally:
            self._looking = None
            self._last_queue.clear()

    async def _tell(self) -> None:
        found = await aside(self._snapshot, None)
        changed = [job for name, job in found.items() if self._known.get(name) != job]
        for name in self._known.keys() - found.keys():
            job = await aside(self._services.store.get, name)
            if job is None:
                self._send(self._known[name], _event("deleted", {"id": name}))
            elif job != self._known[name]:
                changed.append(job)
        self._known = found
        for job in changed:
            if any(_concerns(listener, job) for listener in self._listeners):
                self._send(job, await aside(self._event_of, job))
        for sees in {listener.sees for listener in self._listeners if not listener.only}:
            said = await aside(
                self._queue.said_of_queue, Caller(sees or "", "", is_admin=sees is None), with_videos=False
            )
            if self._last_queue.get(sees) not in (None, said):
                for listener in self._listeners:
                    if listener.sees == sees and not listener.only:
                        listener.put(_event("queue", said))
            self._last_queue[sees] = said

    def _send(self, job: Job, event: bytes) -> None:
        for listener in self._listeners:
            if _concerns(listener, job):
                listener.put(event)

    def _snapshot(self, sees: str | None) -> dict[str, Job]:
        """Return the newest jobs and all open ones, by id."""
        store = self._services.store
        newest = store.page(limit=_NEWEST, owner=sees).jobs
        running = store.page(limit=_NEWEST, owner=sees, states=_RUNNING).jobs
        return {job.id: job for job in (*newest, *running, *store.queue(sees))}

    def _event_of(self, job: Job) -> bytes:
        return _event("video", self._services.replies.video(job))


def _concerns(listener: _Listener, job: Job) -> bool:
    return listener.sees in (None, job.owner) and listener.only in ("", job.id)


def _event(name: str, value: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=True, allow_nan=False)}\n\n".encode()


def _is_last(event: bytes) -> bool:
    """Say whether an event of one clip is its last."""
    return event.startswith(b"event: deleted") or any(
        f'"status": "{status}"'.encode() in event for status in ("completed", "failed")
    )
