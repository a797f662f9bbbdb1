"""Further from a finished clip: more of it behind its end, or a part of it anew.

Both are clips of their own that hold what stays of the first one. An extension is what `mova generate --extend` makes:
a file that begins with the first clip, and goes on in windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mova.files.json_file import shorten
from mova.serve.access.gate import Caller
from mova.serve.api.replies import num_frames_of
from mova.serve.api.services import Services
from mova.serve.api.submit import Origin, over, submit
from mova.serve.api.videos import Videos
from mova.serve.faults import FieldError, not_found
from mova.serve.intake.bodies import Body, read_request
from mova.serve.intake.forms import MEDIA, Asked, read_asked
from mova.serve.intake.sources import OfClip
from mova.serve.jobs.records import ClipOrder, Job, JobState
from mova.settings.sampling import SamplingSettings
from mova.web.calls import aside

if TYPE_CHECKING:
    from fastapi import Request, Response

_KEYS: Final = ("id", "video_id")
_SOUND: Final = ("audio", "start_s")
_FIXED: Final = ("size", "width", "height", "fps", "num_frames", "start_s")


class Onward:
    """Calls that go on from a finished clip.

    Args:
        services: parts of the server.
        videos: calls about clips.
    """

    def __init__(self, services: Services, videos: Videos) -> None:
        self._services, self._videos = services, videos

    async def extend(self, request: Request) -> Response:
        """Queue a clip that is longer than a finished one by so many seconds."""
        caller, key = await self._videos.maker(request)
        body = await read_request(request, self._services.settings.limits)
        try:
            digest = await aside(lambda: body.digest)
            if upload := body.uploads.get("video"):
                others = {name: one for name, one in body.uploads.items() if name != "video"}
                asked = read_asked(replace(body, uploads=others), self._services.settings.limits)
                before_s = 0.0 if asked.seconds is None else await self._services.intake.seconds_of(upload)
                asked = _behind(replace(asked, media={**asked.media, "extend": upload}), before_s)
                return await self._submit(caller, asked, Origin(key, f"{digest} extend"))
            job, settings = await self._source(body, caller)
            asked = self._over(body, job, _SOUND)
            asked = replace(asked, media={**asked.media, "extend": OfClip(job.id, "video")})
            asked = _behind(asked, num_frames_of(job, settings) / settings.frame_rate)
            return await self._submit(caller, asked, Origin(key, f"{digest} extend {job.id}", job.id))
        finally:
            body.close()

    async def edit(self, request: Request) -> Response:
        """Queue a finished clip, or a video that is sent, with spans of it made anew."""
        caller, key = await self._videos.maker(request)
        body = await read_request(request, self._services.settings.limits)
        try:
            digest = await aside(lambda: body.digest)
            if "video" in body.uploads:
                asked = read_asked(body, self._services.settings.limits)
                _check_retake(asked)
                return await self._submit(caller, asked, Origin(key, f"{digest} edit"))
            job, settings = await self._source(body, caller)
            asked = self._over(body, job)
            _check_retake(asked)
            given = {**asked.settings, "num_frames": num_frames_of(job, settings)}
            asked = replace(asked, settings=given, media={**asked.media, "video": OfClip(job.id, "video")})
            return await self._submit(caller, asked, Origin(key, f"{digest} edit {job.id}", job.id))
        finally:
            body.close()

    async def _submit(self, caller: Caller, asked: Asked, origin: Origin) -> Response:
        jobs, warnings = await submit(self._services, caller, asked, origin)
        more = {"variants": [one.id for one in jobs]} if len(jobs) > 1 else None
        return await self._videos.reply(jobs[0], warnings or None, more)

    async def _source(self, body: Body, caller: Caller) -> tuple[Job, SamplingSettings]:
        """Take the clip that a request names out of its body."""
        name = _take_id(body.values)
        job = await aside(self._services.store.get, name, caller.sees)
        if job is None:
            raise not_found(name)
        if job.state is not JobState.COMPLETED:
            raise FieldError(f"video must be one that is completed, got one that is {job.state}", "video")
        settings = self._services.replies.settings(job)
        if settings is None:
            raise FieldError("video must be of this server's model", "video", code="wrong_model")
        return job, settings

    def _over(self, body: Body, job: Job, allowed: tuple[str, ...] = ()) -> Asked:
        """Return what is asked for over what the first clip was, but with another seed where none is given.

        What the first clip was made from, its length and its moments are not those of the next.
        """
        for name in (*body.values, *body.uploads):
            if name in _FIXED and name not in allowed:
                raise FieldError(f"{name} must be that of the first video; nearest is to leave it out", name)
            if name in MEDIA and name not in allowed:
                raise FieldError(f"{name} must be left out: the first video stands for it", name)
        asked = read_asked(body, self._services.settings.limits)
        order = job.order
        first = ClipOrder(
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            seed=order.seed,
            settings=order.settings,
            speed=order.speed,
            retries=order.retries,
            enhancement=order.enhancement,
        )
        return replace(over(asked, first), seed=asked.seed)


def _behind(asked: Asked, before_s: float) -> Asked:
    """Return what is asked for as a clip that has so many seconds before it; what it adds is its `seconds`."""
    settings = {name: value for name, value in asked.settings.items() if name != "num_frames"}
    seconds = None if asked.seconds is None else before_s + asked.seconds
    return replace(asked, settings=settings, seconds=seconds)


def _take_id(values: dict[str, object]) -> str:
    """Return the id of the clip that a request names, and take it out of its fields."""
    for key in _KEYS:
        if isinstance(found := values.pop(f"video[{key}]", None), str):
            return found
    given = values.pop("video", None)
    if isinstance(given, Mapping) and len(given) == 1:
        for key in _KEYS:
            if isinstance(found := given.get(key), str):
                return found
    raise FieldError(f"video must be an object with the id of a completed video, got {shorten(given)}", "video")


def _check_retake(asked: Asked) -> None:
    if not asked.retakes:
        text = "retake must say which seconds are made anew, such as 0.5-1.2 or 0.5-1.2:audio; got nothing"
        raise FieldError(text, "retake")
