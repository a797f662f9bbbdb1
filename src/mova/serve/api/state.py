"""How the server is, who is logged in, what the model offers and what a clip will cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mova.cores import num_cores
from mova.plan.cost import Plan, cpu_estimate, in_words, make_plan, token_forwards
from mova.serve.access.gate import COOKIE
from mova.serve.api.metrics import CONTENT_TYPE
from mova.serve.api.queue import QueueCalls
from mova.serve.api.replies import plain_seconds
from mova.serve.api.services import Services
from mova.serve.faults import FieldError, unknown_field
from mova.serve.intake.bodies import Body, read_object
from mova.serve.intake.examine import outside_of, plan_of
from mova.serve.intake.forms import FIELDS, Asked, read_asked
from mova.serve.intake.offer import Completed
from mova.serve.jobs.records import JobState
from mova.settings.sampling import SamplingSettings
from mova.settings.seeds import MAX_SEED
from mova.web.calls import aside, json_reply
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

_SESSION_S: Final = 30 * 24 * 3600
_SMALL_BYTES: Final = 4096
_MEASURED: Final = 20
_NO_PROMPT: Final = "a clip"
_PLANNED: Final = tuple(name for name in FIELDS if name != "keyframes")


class State:
    """Calls about the server.

    Args:
        services: parts of the server.
        queue: calls about the queue.
    """

    def __init__(self, services: Services, queue: QueueCalls) -> None:
        self._services, self._queue = services, queue
        self._since = int(time.time())

    async def health(self, _request: Request) -> Response:
        """Say that the process answers."""
        return json_reply({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Say whether clips are being made: a worker is alive and has its model."""
        state = await aside(self._queue.worker)
        is_ready = state in ("idle", "busy")
        return json_reply({"status": "ready" if is_ready else "waiting", "worker": state}, 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Give what is counted."""
        from fastapi.responses import Response

        await aside(self._services.gate.admin, request)
        return Response(await aside(self._services.metrics.text), headers={"Content-Type": CONTENT_TYPE})

    async def session(self, request: Request) -> Response:
        """Say who asks, and whether a key is needed."""
        gate = self._services.gate
        said: dict[str, object] = {"object": "session", "needs_key": gate.needs_key}
        try:
            caller = await aside(gate.caller, request)
        except RefusedError as refusal:
            if refusal.status != 401:
                raise
            return json_reply({**said, "is_known": False, "name": None, "is_admin": False})
        return json_reply({**said, "is_known": True, "name": caller.name or None, "is_admin": caller.is_admin})

    async def begin_session(self, request: Request) -> Response:
        """Take a key, and keep it in a cookie that no script can read."""
        said = await read_object(request, self._services.settings.limits, most_bytes=_SMALL_BYTES)
        secret = said.pop("key", "")
        if said:
            raise unknown_field(next(iter(said)), ("key",))
        if not isinstance(secret, str):
            raise FieldError("key must be a text, got another kind", "key")
        caller = await aside(self._services.gate.caller_of, secret, request)
        needs_key = self._services.gate.needs_key
        response = json_reply(
            {
                "object": "session",
                "needs_key": needs_key,
                "is_known": True,
                "name": caller.name or None,
                "is_admin": caller.is_admin,
            }
        )
        if needs_key:
            is_safe = request.url.scheme == "https"
            response.set_cookie(COOKIE, secret, max_age=_SESSION_S, httponly=True, samesite="strict", secure=is_safe)
        return response

    async def end_session(self, _request: Request) -> Response:
        """Forget the key of the cookie."""
        response = json_reply({"object": "session.deleted", "deleted": True})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    async def models(self, request: Request) -> Response:
        """Say which models there are: one."""
        await aside(self._services.gate.caller, request)
        return json_reply({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """Say what the model offers."""
        await aside(self._services.gate.caller, request)
        self._services.offer.check_model(str(request.path_params["model"]))
        return json_reply(self._model())

    async def plan(self, request: Request) -> Response:
        """Say what a clip will cost, before anybody asks for it."""
        await aside(self._services.gate.caller, request)
        values: dict[str, object] = {}
        for name, value in request.query_params.multi_items():
            if name in values:
                raise FieldError(f"{name} must be given once, got it twice", name[:80])
            values[name] = value
        asked = read_asked(Body(values, is_form=True), self._services.settings.limits)
        if asked.media or asked.keyframes is not None:
            raise unknown_field("keyframes" if asked.keyframes is not None else next(iter(asked.media)), _PLANNED)
        return json_reply(await aside(self._plan, asked))

    def _model(self) -> dict[str, object]:
        offer, limits = self._services.offer, self._services.settings.limits
        defaults, codec, scope = offer.defaults, offer.dims.codec, offer.scope
        return {
            "id": offer.name,
            "object": "model",
            "created": self._since,
            "owned_by": "mova",
            "defaults": {
                "size": f"{defaults.width}x{defaults.height}",
                "fps": defaults.frame_rate,
                "seconds": plain_seconds(defaults.num_frames / defaults.frame_rate),
                **{
                    name: value
                    for name, value in vars(defaults).items()
                    if name not in ("width", "height", "frame_rate", "bfloat16_on_cpu")
                },
            },
            "limits": {
                "size_multiple": [codec.size_multiple[1], codec.size_multiple[0]],
                "temporal_stride": codec.temporal_stride,
                "max_pixels": limits.clip_pixels,
                "max_frames": limits.clip_frames,
                "max_frames_at_once": offer.most_at_once,
                "max_steps": limits.clip_steps,
                "max_prompt_chars": limits.prompt_chars,
                "max_upload_bytes": limits.upload_bytes,
                "max_image_pixels": limits.image_pixels,
                "max_variants": limits.variants,
                "max_seed": str(MAX_SEED),
            },
            "speeds": list(offer.speeds),
            "default_speed": offer.default_speed,
            "fetches_urls": self._services.settings.fetch.enabled,
            "scope": {
                "words": sorted(scope.words),
                "scenes": list(scope.scenes),
                "sizes": [list(size) for size in scope.sizes],
                "num_frames": list(scope.num_frames),
                "frame_rates": list(scope.frame_rates),
                "last_image_alone": scope.last_image_alone,
            },
        }

    def _plan(self, asked: Asked) -> dict[str, object]:
        offer = self._services.offer
        completed = offer.complete(replace(asked, prompt=asked.prompt or _NO_PROMPT), {})
        settings = completed.request.settings
        extent, notes = plan_of(completed.request, "")
        num_frames, windows = (settings.num_frames, 1) if extent is None else (extent.num_frames, extent.windows)
        made = make_plan(
            offer.dims,
            settings.geometry,
            num_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            modality_scale=settings.modality_scale,
            quantization=self._services.settings.quantize,
            speed=completed.speed,
        )
        scope = offer.scope if asked.prompt else replace(offer.scope, words=frozenset(), scenes=())
        return {
            "object": "plan",
            "size": f"{settings.width}x{settings.height}",
            "num_frames": num_frames,
            "num_windows": windows,
            "seconds": plain_seconds(num_frames / settings.frame_rate),
            "fps": settings.frame_rate,
            "num_inference_steps": settings.num_inference_steps,
            "speed": completed.speed,
            "operations": made.total_operations * windows,
            "video_tokens": settings.geometry.num_video_tokens,
            "memory": [{"placement": one.placement, "bytes": one.total_bytes} for one in made.memory],
            **self._estimate(made, settings, completed, windows),
            "warnings": outside_of(completed.request, scope, {}),
            "notes": notes,
        }

    def _estimate(
        self, made: Plan, settings: SamplingSettings, completed: Completed, windows: int
    ) -> dict[str, object]:
        """Return the seconds that a clip takes: by the last ones that were made here, else by its operations."""
        work = max(1, token_forwards(settings)) * windows
        paces = self._paces(completed.speed)
        if paces:
            estimate, source = statistics.median(paces) * work, "measured"
        elif self._is_on_cpu():
            estimate, source = cpu_estimate(made, num_cores()) * windows, "operations"
        else:
            return {"estimated_s": None, "estimate_from": None, "words": None}
        return {"estimated_s": round(estimate, 1), "estimate_from": source, "words": in_words(estimate)}

    def _paces(self, speed: str) -> list[float]:
        """Return seconds for each video token and forward of the last clips of a speed."""
        jobs = self._services.store.page(limit=_MEASURED, states=(JobState.COMPLETED,)).jobs
        found = []
        for job in jobs:
            settings, seconds = self._services.replies.settings(job), job.facts.get("inference_s")
            if settings is not None and job.order.speed == speed and isinstance(seconds, int | float) and seconds > 0:
                windows = 1 if job.order.extent is None else job.order.extent.windows
                found.append(float(seconds) / max(1, token_forwards(settings)) / windows)
        return found

    def _is_on_cpu(self) -> bool:
        devices: list[Any] = [_device(one.facts) for one in self._services.store.workers()]
        return all("cuda" not in str(device) for device in devices)


def _device(facts: Mapping[str, Any]) -> str:
    return str(facts.get("device", "cpu"))
