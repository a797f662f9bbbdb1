"""Further from a finished clip: more of it behind its end, or a part of it anew.

Both are clips of their own that hold what stays of the first one. An extension has in front what the first one has, and
takes its last frames and samples as the beginning of the part that is made.
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
from mova.serve.intake.fields import number_of
from mova.serve.intake.forms import MEDIA, Asked, OfClip, read_asked
from mova.serve.jobs.records import Job, JobState
from mova.settings.sampling import SamplingSettings
from mova.web.calls import aside

if TYPE_CHECKING:
    from fastapi import Request, Response

OVERLAP_S: Final = 0.7
"""What an extension takes over of the end of the first clip, where nothing is said."""
_KEYS: Final = ("id", "video_id")
_SLACK_FRAMES: Final = 0.1
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
            seconds, overlap_s = (_positive(body, name) for name in ("seconds", "overlap"))
            overlap_s = OVERLAP_S if overlap_s is None else overlap_s
            if "video" in body.uploads:
                asked = read_asked(body, self._services.settings.limits)
                rate = float(asked.settings.get("frame_rate", self._services.offer.defaults.frame_rate))
                total = int(rate * await self._services.intake.seconds_of(body.uploads["video"]) + _SLACK_FRAMES)
                asked = self._behind(asked, total, rate, seconds, overlap_s)
                return await self._submit(caller, asked, Origin(key, f"{digest} extend"))
            job, settings = await self._source(body, caller)
            asked = replace(self._over(body, job), media={"video": OfClip(job.id, "video")})
            asked = self._behind(asked, num_frames_of(job, settings), settings.frame_rate, seconds, overlap_s)
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
            media = {"video": OfClip(job.id, "video")}
            asked = replace(asked, settings=given, media=media, start_s=0.0, joins=False)
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

    def _over(self, body: Body, job: Job) -> Asked:
        """Return what is asked for over what the first clip was, but with another seed where none is given."""
        for name in body.values:
            if name in _FIXED:
                raise FieldError(f"{name} must be that of the first video; nearest is to leave it out", name)
            if name in MEDIA:
                raise FieldError(f"{name} must be left out: the first video stands for it", name)
        asked = read_asked(body, self._services.settings.limits)
        order = replace(job.order, retakes=())
        return replace(over(asked, order), seed=asked.seed)

    def _behind(self, asked: Asked, total: int, rate: float, seconds: float | None, overlap_s: float) -> Asked:
        """Return what is asked for as a window that begins inside of a video of so many frames."""
        offer = self._services.offer
        stride = offer.dims.codec.temporal_stride
        total = max(1, total)
        shared = min(offer.frames_of(overlap_s, rate), (total - 1) // stride * stride + 1)
        new = offer.defaults.num_frames - shared if seconds is None else round(seconds * rate)
        frames = shared + max(1, round(new / stride)) * stride
        return replace(
            asked,
            settings={**asked.settings, "num_frames": frames},
            start_s=(total - shared) / rate,
            retakes=(f"{shared / rate:.6f}-{frames / rate:.6f}",),
            joins=True,
        )


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


def _positive(body: Body, name: str) -> float | None:
    value = body.values.pop(name, None)
    if value is None or value == "":
        return None
    found = number_of(name, value)
    if not 0 < found <= 3600:
        raise FieldError(f"{name} must be more than 0 and at most 3600, got {found:g}; nearest is 1", name)
    return found


def _check_retake(asked: Asked) -> None:
    if not asked.retakes:
        text = "retake must say which seconds are made anew, such as 0.5-1.2 or 0.5-1.2:audio; got nothing"
        raise FieldError(text, "retake")
