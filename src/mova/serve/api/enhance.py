"""`/v1/enhance`: what somebody wrote becomes a prompt that the model knows, with a first frame."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import MovaError
from mova.generate.enhance.enhanced import Enhanced
from mova.generate.enhance.run import enhance_async
from mova.generate.enhance.settings import EnhanceSettings, Language
from mova.serve.api.services import Services
from mova.serve.api.submit import check_content
from mova.serve.api.videos import Videos
from mova.serve.faults import FieldError, fault_of, unknown_field
from mova.serve.intake.bodies import Body, read_object
from mova.serve.intake.forms import Asked, read_asked
from mova.web.calls import aside, json_reply
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

FIELDS: Final = ("prompt", "image", "size", "language")
_SPELT: Final = {"frame_rate": "fps"}
_AT_ONCE: Final = 8
_WAIT_S: Final = 30.0


class Enhancement:
    """Calls that enhance prompts.

    Args:
        services: parts of the server.
        videos: calls about clips.
    """

    def __init__(self, services: Services, videos: Videos) -> None:
        self._services, self._videos = services, videos
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def enhance(self, request: Request) -> Response:
        """Enhance a prompt."""
        caller = await self._videos.caller(request)
        self._services.quotas.check_pace(caller)
        said = await read_object(request, self._services.settings.limits)
        settings = _with_language(self._services.enhance, said.pop("language", None))
        for name in said:
            if name not in FIELDS:
                raise unknown_field(name, FIELDS)
        asked = read_asked(Body(said), self._services.settings.limits)
        await check_content(self._services, asked)
        image, size = await self._frame(asked, caller.sees)
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise RefusedError(503, "busy", "too many prompts are being enhanced", _WAIT_S) from None
        try:
            found = await enhance_async(
                asked.prompt or "", image, settings, model=self._services.offer.folder, size=size
            )
        except MovaError as error:
            raise fault_of(error, "prompt") from None
        finally:
            self._free.release()
        return json_reply(await aside(said_of, found))

    async def _frame(self, asked: Asked, sees: str | None) -> tuple[NDArray[np.uint8] | None, tuple[int, int]]:
        """Return the first frame that is given, decoded by a child, and the (height, width) of one that is made."""
        if other := [name for name in asked.media if name != "image"]:
            raise unknown_field(other[0], FIELDS)
        settings = (await aside(self._services.offer.complete, asked, {})).request.settings
        return await self._services.intake.image(asked, sees), (settings.height, settings.width)


def said_of(found: Enhanced) -> dict[str, object]:
    """Return what is said of an enhanced prompt."""
    said: dict[str, Any] = found.to_dict()
    said.pop("calls", None)
    # Under the names that a request for clips has.
    said["settings"] = {_SPELT.get(name, name): value for name, value in said["settings"].items()}
    frame = None if found.first_frame is None else data_url(found.first_frame)
    return {"object": "enhancement", "prompt": said.pop("text"), **said, "first_frame": frame}


def data_url(frame: NDArray[np.uint8]) -> str:
    """Return an image (H, W, 3) as a data URL of PNG."""
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(frame).save(written, "PNG")
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"


def _with_language(settings: EnhanceSettings, name: object) -> EnhanceSettings:
    if name is None:
        return settings
    known = [str(one) for one in Language]
    if name not in known:
        raise FieldError(f"language must be {' or '.join(known)}, got another; nearest is {known[0]}", "language")
    return settings.model_copy(update={"language": Language(str(name))})
