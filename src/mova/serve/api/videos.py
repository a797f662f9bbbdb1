"""`/v1/videos`: made, listed, looked at, made again with changes, removed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mova.serve.access.gate import Caller
from mova.serve.api.replies import STATUSES, list_of
from mova.serve.api.services import Services
from mova.serve.api.submit import Origin, over, submit
from mova.serve.faults import FieldError, not_found, unknown_field
from mova.serve.intake.bodies import Body, read_request
from mova.serve.intake.fields import text_of, whole_of
from mova.serve.intake.forms import read_asked
from mova.serve.intake.sources import OfClip
from mova.serve.jobs.records import Job, JobState
from mova.serve.jobs.store import JobStore
from mova.web.calls import aside, json_reply
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

POLL_HEADER: Final = "openai-poll-after-ms"
KEY_HEADER: Final = "Idempotency-Key"
LIST_FIELDS: Final = ("after", "limit", "order", "search", "status")
VIDEO_ID: Final = r"video_[0-9a-f]{32}"
_ID: Final = re.compile(VIDEO_ID)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_USUAL_LIMIT: Final = 20
_MOST_SEARCH: Final = 200
_POLL_MS: Final = {JobState.RUNNING: 500}
_USUAL_POLL_MS: Final = 1000


class Videos:
    """Calls about clips.

    Args:
        services: parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def create(self, request: Request) -> Response:
        """Queue clips."""
        caller, key = await self.maker(request)
        body = await read_request(request, self._services.settings.limits)
        try:
            return await self._submit(caller, body, key)
        finally:
            body.close()

    async def remix(self, request: Request) -> Response:
        """Queue a clip again, with changes."""
        caller, key = await self.maker(request)
        job = await self.job(request, caller)
        body = await read_request(request, self._services.settings.limits)
        try:
            return await self._submit(caller, body, key, job)
        finally:
            body.close()

    async def get(self, request: Request) -> Response:
        """Say how a clip is."""
        # In one go aside: it is what is asked most often.
        job, said = await aside(self._look, request, name_in(request))
        return _video_reply(job, said)

    async def page(self, request: Request) -> Response:
        """Say how clips are, page by page."""
        caller = await self.caller(request)
        asked = _query(request, LIST_FIELDS)
        order = asked.get("order", "desc")
        if order not in ("asc", "desc"):
            raise FieldError("order must be asc or desc, got another; nearest is desc", "order")
        after = asked.get("after")
        if after is not None and not _ID.fullmatch(after):
            raise FieldError("after must be the id of a video, got another text", "after")
        page = await aside(
            self._services.store.page,
            after=after,
            limit=whole_of("limit", asked["limit"]) if "limit" in asked else _USUAL_LIMIT,
            is_ascending=order == "asc",
            owner=caller.sees,
            search=text_of("search", asked.get("search", ""), most=_MOST_SEARCH),
            states=_states(asked.get("status")),
        )
        videos = await aside(lambda: [self._services.replies.video(job) for job in page.jobs])
        return json_reply(list_of(videos, has_more=page.has_more))

    async def delete(self, request: Request) -> Response:
        """Remove a clip and its files; one that is being made is stopped."""
        caller = await self.caller(request)
        name = name_in(request)
        if not await aside(self._services.store.doom, name, caller.sees):
            raise not_found(name)
        await aside(self._services.store.remove_doomed, self._services.artifacts)
        return json_reply({"id": name, "object": "video.deleted", "deleted": True})

    async def missing(self, _request: Request) -> Response:
        """Refuse what OpenAI's client offers and no model does yet."""
        raise RefusedError(501, "not_implemented", "this server cannot do this yet; remix makes a clip with changes")

    async def caller(self, request: Request) -> Caller:
        """Return who asks."""
        gate = self._services.gate
        return await aside(gate.caller, request) if gate.needs_key else gate.caller(request)

    async def job(self, request: Request, caller: Caller) -> Job:
        """Return the job that a path names.

        Raises:
            FieldError: there is none that this caller sees.
        """
        name = name_in(request)
        job = await aside(self._services.store.get, name, caller.sees)
        if job is None:
            raise not_found(name)
        return job

    async def reply(
        self, job: Job, warnings: list[str] | None = None, more: Mapping[str, object] | None = None
    ) -> Response:
        """Return what is said of a job."""
        said = await aside(self._services.replies.video, job, warnings)
        return _video_reply(job, {**said, **(more or {})})

    def _look(self, request: Request, name: str) -> tuple[Job, dict[str, object]]:
        job = self._services.store.get(name, self._services.gate.caller(request).sees)
        if job is None:
            raise not_found(name)
        return job, self._services.replies.video(job)

    async def maker(self, request: Request) -> tuple[Caller, str]:
        """Return who asks for clips, and the key under which they may ask again.

        Raises:
            RefusedError: too many requests, or no such key.
        """
        caller = await self.caller(request)
        self._services.quotas.check_pace(caller)
        key = request.headers.get(KEY_HEADER)
        if key is not None and not _KEY.fullmatch(key):
            raise FieldError(f"{KEY_HEADER} must be 1 to 255 printable ASCII characters without spaces", KEY_HEADER)
        return caller, key or ""

    async def _submit(self, caller: Caller, body: Body, key: str, job: Job | None = None) -> Response:
        asked = read_asked(body, self._services.settings.limits)
        # Aside: an image inside of JSON is read once more.
        digest = await aside(lambda: body.digest)
        if job is None:
            origin = Origin(key, digest)
        else:
            asked = over(asked, job.order)
            origin = Origin(key, f"{digest} {job.id}", job.id, job.order.inputs)
        jobs, warnings = await submit(self._services, caller, asked, origin)
        more = {"variants": [one.id for one in jobs]} if len(jobs) > 1 else None
        return await self.reply(jobs[0], warnings or None, more)


def _video_reply(job: Job, said: Mapping[str, object]) -> Response:
    response = json_reply(said)
    if not job.state.is_final:
        response.headers[POLL_HEADER] = str(_POLL_MS.get(job.state, _USUAL_POLL_MS))
    return response


def find_clip(store: JobStore, source: OfClip, sees: str | None) -> str:
    """Return the name of the file of a finished clip.

    Args:
        store: of jobs.
        source: which clip.
        sees: whose it may be; None for anybody's.

    Raises:
        FieldError: there is none, or it is not finished.
    """
    job: Job | None = store.get(source.video_id, sees) if _ID.fullmatch(source.video_id) else None
    if job is None:
        raise not_found(source.video_id)
    if job.state is not JobState.COMPLETED or "video" not in job.artifacts:
        raise FieldError(f"video_id must be that of a completed video, got one that is {job.state}", "video_id")
    return job.artifacts["video"]


def name_in(request: Request) -> str:
    """Return the id that a path names.

    Raises:
        FieldError: it is none.
    """
    name = str(request.path_params["video_id"])
    if not _ID.fullmatch(name):
        raise not_found(name)
    return name


def _query(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    """Return the fields of a query; an unknown one is refused."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise unknown_field(name, known)
        if name in found:
            raise FieldError(f"{name} must be given once, got it twice", name)
        found[name] = value
    return found


def _states(status: str | None) -> tuple[JobState, ...]:
    if status is None:
        return ()
    found = tuple(state for state, name in STATUSES.items() if status in (name, str(state)))
    if not found:
        known = ", ".join(dict.fromkeys(STATUSES.values()))
        raise FieldError(f"status must be one of {known}; got another", "status")
    return found
