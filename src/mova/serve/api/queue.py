"""Clips that wait: changed, held, moved, made twice, cancelled; and the queue as a whole."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mova.serve.access.gate import Caller
from mova.serve.api.services import Services
from mova.serve.api.submit import check_content, over
from mova.serve.api.videos import VIDEO_ID, Videos
from mova.serve.faults import FieldError, not_found, unknown_field
from mova.serve.intake.bodies import read_object, read_request
from mova.serve.intake.fields import text_of
from mova.serve.intake.forms import read_asked
from mova.serve.intake.intake import Taken, orders_of
from mova.serve.jobs.records import Job, JobState
from mova.web.calls import aside, json_reply
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

_SMALL_BYTES: Final = 4096
_SILENT_LEASES: Final = 2.5
_MOST_ID: Final = 100
_ID: Final = re.compile(VIDEO_ID)


class QueueCalls:
    """Calls about clips that wait.

    Args:
        services: parts of the server.
        videos: calls about clips.
    """

    def __init__(self, services: Services, videos: Videos) -> None:
        self._services, self._videos = services, videos

    async def edit(self, request: Request) -> Response:
        """Change what is asked for, before it is begun."""
        caller = await self._videos.caller(request)
        job = await self._videos.job(request, caller)
        self._check_waits(job)
        limits = self._services.settings.limits
        body = await read_request(request, limits)
        try:
            asked = over(read_asked(body, limits), job.order)
            if asked.num_variants != 1:
                raise FieldError(f"n must be 1 for a video that is there, got {asked.num_variants}; nearest is 1", "n")
            await check_content(self._services, asked)
            taken = await self._services.intake.take(asked, caller.sees, job.order.inputs)
            await aside(self._change, caller, job, taken)
        finally:
            body.close()
        return await self._again(job.id, list(taken.warnings) or None)

    async def cancel(self, request: Request) -> Response:
        """Stop a clip; one that has ended stays as it is."""
        job = await self._own(request)
        await aside(self._services.store.cancel, job.id)
        return await self._again(job.id)

    async def hold(self, request: Request) -> Response:
        """Keep a clip from being begun; one that is held stays so."""
        return await self._switch(request, JobState.HELD, self._services.store.hold)

    async def release(self, request: Request) -> Response:
        """Let a clip that is held be begun; one that waits goes on waiting."""
        return await self._switch(request, JobState.QUEUED, self._services.store.unhold)

    async def move(self, request: Request) -> Response:
        """Give a clip another place in the queue; where keys are in force, an administrator does."""
        caller = await aside(self._services.gate.admin, request)
        job = await self._videos.job(request, caller)
        said = await read_object(request, self._services.settings.limits, most_bytes=_SMALL_BYTES, may_be_empty=True)
        before = said.pop("before", None)
        if said:
            raise unknown_field(next(iter(said)), ("before",))
        place = None if before is None else text_of("before", before, most=_MOST_ID)
        if place is not None and (not _ID.fullmatch(place) or await aside(self._services.store.get, place) is None):
            raise FieldError("before must be the id of a video that waits, or null for the end", "before")
        await aside(self._services.store.move, job.id, place)
        return await self._again(job.id)

    async def duplicate(self, request: Request) -> Response:
        """Queue a clip again as it is."""
        caller = await self._videos.caller(request)
        quotas = self._services.quotas
        quotas.check_pace(caller)
        job = await self._videos.job(request, caller)
        made = await aside(self._duplicate, caller, job)
        self._services.wake()
        self._services.metrics.accepted(1)
        return await self._again(made.id)

    async def queue(self, request: Request) -> Response:
        """Say what waits, in its order."""
        caller = await self._videos.caller(request)
        return json_reply(await aside(self.said_of_queue, caller, with_videos=True))

    async def pause(self, request: Request) -> Response:
        """Begin no further clips; what runs goes on."""
        return await self._set(request, self._services.store.pause)

    async def resume(self, request: Request) -> Response:
        """Begin clips again."""
        return await self._set(request, self._services.store.resume)

    def said_of_queue(self, caller: Caller, *, with_videos: bool) -> dict[str, object]:
        """Return what is said of the queue.

        Args:
            caller: who asks, and sees their own clips.
            with_videos: whether the clips are named.
        """
        store, replies = self._services.store, self._services.replies
        counts = store.counts(caller.sees)
        said: dict[str, object] = {
            "object": "queue",
            "is_paused": store.is_paused,
            "num_queued": counts[JobState.QUEUED],
            "num_held": counts[JobState.HELD],
            "num_running": counts[JobState.RUNNING],
            "worker": self.worker(),
        }
        if with_videos:
            said["data"] = [replies.video(job) for job in store.queue(caller.sees)]
        return said

    def worker(self) -> str:
        """Return what the workers do: `idle`, `busy`, `loading` or `failed`; `none` where none is heard of."""
        most_s = _SILENT_LEASES * self._services.settings.worker.lease_s
        seen = [one.state for one in self._services.store.workers() if one.seen_s > time.time() - most_s]
        return next((state for state in ("idle", "busy", "loading", "failed") if state in seen), "none")

    def _change(self, caller: Caller, job: Job, taken: Taken) -> None:
        quotas, before_s = self._services.quotas, self._services.replies.new_s(job)
        spent = ""
        try:
            longer_s = taken.new_s - (before_s or 0.0)
            # What is made shorter is not given back, like what is cancelled.
            spent = quotas.spend(caller, longer_s) if longer_s > 0 else ""
            self._services.store.edit(job.id, orders_of(taken)[0])
        except BaseException:
            quotas.refund(spent)
            self._services.intake.discard(taken)
            raise

    def _duplicate(self, caller: Caller, job: Job) -> Job:
        quotas, new_s = self._services.quotas, self._services.replies.new_s(job)
        if new_s is None:
            raise FieldError("a video that is duplicated must be of this server's model", "video", code="wrong_model")
        quotas.check_room(caller, 1)
        spent = quotas.spend(caller, new_s)
        try:
            return self._services.store.duplicate(job.id, caller.owner, caller.most_open)
        except BaseException:
            quotas.refund(spent)
            raise

    async def _own(self, request: Request) -> Job:
        return await self._videos.job(request, await self._videos.caller(request))

    async def _switch(self, request: Request, state: JobState, change: Callable[[str], None]) -> Response:
        job = await self._own(request)
        self._check_waits(job)
        if job.state is not state:
            await aside(change, job.id)
            self._services.wake()
        return await self._again(job.id)

    async def _set(self, request: Request, change: Callable[[], None]) -> Response:
        caller = await aside(self._services.gate.admin, request)
        await aside(change)
        self._services.wake()
        return json_reply(await aside(self.said_of_queue, caller, with_videos=False))

    async def _again(self, name: str, warnings: list[str] | None = None) -> Response:
        job = await aside(self._services.store.get, name)
        if job is None:
            raise not_found(name)
        return await self._videos.reply(job, warnings)

    @staticmethod
    def _check_waits(job: Job) -> None:
        if job.state not in (JobState.QUEUED, JobState.HELD):
            raise RefusedError(409, "wrong_state", f"a video must wait for this, got one that is {job.state}")
