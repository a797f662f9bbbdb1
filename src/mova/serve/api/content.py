"""Files of clips, whole or in parts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.serve.api.replies import INPUT_VARIANTS, VARIANTS
from mova.serve.api.services import Services
from mova.serve.api.videos import Videos
from mova.serve.faults import FieldError
from mova.serve.jobs.records import Job, JobState
from mova.web.calls import aside

if TYPE_CHECKING:
    from fastapi import Request, Response

_KINDS: Final = {
    "mp4": "video/mp4",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "json": "application/json",
}
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
# What a file of a stranger's making could do in a browser, it must not.
_POLICY: Final = "default-src 'none'; media-src 'self'; img-src 'self'; sandbox"


class Content:
    """Calls that give files.

    Args:
        services: parts of the server.
        videos: calls about clips.
    """

    def __init__(self, services: Services, videos: Videos) -> None:
        self._services, self._videos = services, videos

    async def content(self, request: Request) -> Response:
        """Give a file of a clip."""
        variant = request.query_params.get("variant", VARIANTS[0])
        known = (*VARIANTS, *INPUT_VARIANTS)
        if variant not in known:
            raise FieldError(f"variant must be one of {', '.join(known)}; got another", "variant")
        job = await self._job(request)
        # What a stranger sent is to be kept and not to be looked at here.
        return await self._reply(request, job, variant, "attachment" if variant in INPUT_VARIANTS else "inline")

    async def download(self, request: Request) -> Response:
        """Give the clip as a file to keep."""
        return await self._reply(request, await self._job(request), VARIANTS[0], "attachment")

    async def _job(self, request: Request) -> Job:
        return await self._videos.job(request, await self._videos.caller(request))

    async def _reply(self, request: Request, job: Job, variant: str, disposition: str) -> Response:
        name = _name_of(job, variant)
        suffix = name.rpartition(".")[2]
        headers = {
            "Content-Disposition": f'{disposition}; filename="{job.id}_{variant}.{suffix}"',
            "Content-Security-Policy": _POLICY,
            # A preview changes, and a clip may be deleted.
            "Cache-Control": "private, no-cache" if variant != "preview" else "no-store",
        }
        kind = _KINDS.get(suffix, "application/octet-stream")
        path = self._services.artifacts.path(name)
        if path is None:
            return await self._remote(request, name, kind, headers)
        return await _local(path, kind, headers)

    async def _remote(self, request: Request, name: str, kind: str, headers: dict[str, str]) -> Response:
        from fastapi.responses import Response, StreamingResponse

        artifacts = self._services.artifacts
        try:
            size = await aside(artifacts.size, name)
        except FileNotFoundError:
            raise _gone() from None
        headers = {**headers, "Accept-Ranges": "bytes", "ETag": f'"{name.rpartition("/")[2]}-{size}"'}
        span = _span(request.headers.get("range", ""), size)
        if span is None:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
        start, end = span
        is_part = (start, end) != (0, size)
        if is_part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - start)
        parts: Iterator[bytes] = artifacts.read(name, start, end)
        return StreamingResponse(parts, 206 if is_part else 200, headers, kind)


async def _local(path: Path, kind: str, headers: dict[str, str]) -> Response:
    from fastapi.responses import FileResponse

    try:
        stated = await asyncio.to_thread(path.stat)
    except FileNotFoundError:
        raise _gone() from None
    return FileResponse(path, media_type=kind, stat_result=stated, headers=headers)


def _name_of(job: Job, variant: str) -> str:
    if variant in INPUT_VARIANTS:
        name = INPUT_VARIANTS[variant]
        if name not in job.order.inputs:
            raise FieldError(f"this video was not made from {name}", "variant", code="not_available", status=404)
        return job.order.inputs[name]
    if variant in job.artifacts:
        return job.artifacts[variant]
    if not job.state.is_final:
        text = f"the {variant} is there once the video is completed; it is {job.progress.percent:.0f} % done"
        raise FieldError(text, "variant", code="not_ready", status=404)
    if job.state is JobState.COMPLETED:
        raise FieldError(f"this video has no {variant}", "variant", code="not_available", status=404)
    raise FieldError(f"there is no {variant}: the video is {job.state}", "variant", code=str(job.state), status=404)


def _gone() -> FieldError:
    return FieldError("the file of this video is not there any more", "video", code="file_gone", status=404)


def _span(text: str, size: int) -> tuple[int, int] | None:
    """Return the bytes that a range asks for, all where it is none of ours; None where they are past the end."""
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        return (max(0, size - int(found[2])), size) if int(found[2]) else None
    start, end = int(found[1]), int(found[2]) + 1 if found[2] else size
    return (start, min(end, size)) if start < min(end, size) else None
