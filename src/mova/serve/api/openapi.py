"""The OpenAPI document: what is accepted and what is answered, as it is; hostile requests are made out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import mova
from mova.conditioning.spec import MODALITIES
from mova.conditioning.windows import METHODS
from mova.generate.enhance.settings import Language
from mova.generate.request import MOST_RETRIES, RETRIES
from mova.media.frames import FITS
from mova.serve.api.replies import INPUT_VARIANTS, STATUSES, VARIANTS
from mova.serve.intake.forms import FIELDS, MEDIA
from mova.serve.intake.moments import MOST_PROMPTS
from mova.serve.intake.offer import Offer
from mova.serve.intake.sources import PARTS
from mova.serve.jobs.records import INPUTS, KEYFRAMES, JobState
from mova.serve.jobs.store import MOST_PER_PAGE
from mova.serve.settings import ServeSettings
from mova.settings.sampling import NULL_IMAGES, GivenSettings
from mova.settings.seeds import MAX_SEED

Schema = dict[str, Any]

_ID: Final = "^video_[0-9a-f]{32}$"
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "number"}
_WHOLE: Final[Schema] = {"type": "integer"}
_FLAG: Final[Schema] = {"type": "boolean"}
_ANY: Final[Schema] = {"type": "object"}
_OVERLAP: Final[Schema] = {"type": "number", "description": "seconds that a window takes over from the one before"}
_PROMPT_AT: Final[Schema] = {
    "description": "prompts that hold from a second on, in a long clip; in a form as JSON",
    "type": "array",
    "maxItems": MOST_PROMPTS,
    "items": {
        "type": "object",
        "properties": {"time": _NUMBER, "prompt": _TEXT},
        "required": ["time", "prompt"],
        "additionalProperties": False,
    },
}
_RETAKE: Final[Schema] = {"type": "string", "description": "spans in seconds, such as 0.5-1.2 or 0.5-1.2:audio,1.5-2"}
_RETRIES: Final[Schema] = {
    "description": "how often what is flat, frozen or not finite is made again with another seed",
    "type": "integer",
    "minimum": 0,
    "maximum": MOST_RETRIES,
    "default": RETRIES,
}
_ERRORS: Final = {
    "400": "a value that cannot be used",
    "401": "no key, or none that is known",
    "403": "not allowed",
    "404": "not there",
    "408": "the request came too slowly",
    "409": "the state of the video rules it out",
    "413": "too large",
    "415": "another content type",
    "421": "another host name",
    "429": "too many, or more than a quota",
    "503": "please try again in a moment",
    "507": "no room on the disk",
}


def document(offer: Offer, settings: ServeSettings) -> Schema:
    """Return the document of a server.

    Args:
        offer: of the model.
        settings: of the server.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "mova serve", "version": mova.__version__, "description": _ABOUT},
        "paths": {**_video_paths(), **_other_paths()},
        "components": {
            "schemas": {
                "Asked": _asked(offer, settings),
                "Video": _video(),
                "Error": _error(),
                "Queue": _object(is_paused=_FLAG, num_queued=_WHOLE, num_held=_WHOLE, num_running=_WHOLE, worker=_TEXT),
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


_ABOUT: Final = (
    "Video and audio generated together. Numbers and flags of forms are texts; unknown fields are refused, but inside "
    "of extra_body. Errors have OpenAI's form, with the nearest valid value where there is one."
)


def _video_paths() -> Schema:
    one, video, asked = "/v1/videos/{video_id}", _ref("Video"), _ref("Asked")
    edit = {**_body(asked), "required": True}
    plain = {name: {"post": _call(text, video, path=True)} for name, text in _ACTIONS.items()}
    move = {"before": {"type": ["string", "null"]}}
    return {
        "/v1/videos": {
            "post": _call("Queue clips", video, body=edit, headers=(_key(),)),
            "get": _call("List clips", _list(video), query=_list_query()),
        },
        one: {
            "get": _call("How a clip is", video, path=True),
            "patch": _call("Change a clip before it is begun", video, path=True, body=edit),
            "delete": _call("Remove a clip", _object(id=_TEXT, object=_TEXT, deleted=_FLAG), path=True),
        },
        **{f"{one}/{name}": call for name, call in plain.items()},
        f"{one}/move": {
            "post": _call(
                "Move a clip", video, path=True, body=_body({"type": "object", "properties": move}, form=False)
            )
        },
        f"{one}/remix": {
            "post": _call("Make a clip again, with changes", video, path=True, body=edit, headers=(_key(),))
        },
        f"{one}/content": {"get": _call("A file of a clip", None, path=True, query=(_variant(),), kind="video/mp4")},
        f"{one}/download": {"get": _call("The clip to keep", None, path=True, kind="video/mp4")},
        **{
            f"/v1/videos/{name}": {"post": _call(text, video, body=_body(_onward(name)), headers=(_key(),))}
            for name, text in _ONWARD.items()
        },
        "/v1/videos/characters": {"post": _missing("Make a character")},
    }


def _other_paths() -> Schema:
    session = _object(object=_TEXT, needs_key=_FLAG, is_known=_FLAG, is_admin=_FLAG)
    queue, anything = _ref("Queue"), _ANY
    key = _body({"type": "object", "properties": {"key": _TEXT}, "required": ["key"]}, form=False)
    numbers = ("num_frames", "num_inference_steps")
    plan = (
        *(_query(name, _TEXT) for name in ("size", "speed", "prompt", "prompt_at", "only", "windows")),
        *(_query(name, _WHOLE) for name in numbers),
        *(_query(name, _NUMBER) for name in ("seconds", "fps", "guidance_scale", "modality_scale", "overlap")),
    )
    model = [{"name": "model", "in": "path", "required": True, "schema": _TEXT}]
    return {
        "/v1/queue": {"get": _call("What waits", queue)},
        "/v1/queue/pause": {"post": _call("Begin no further clips", queue)},
        "/v1/queue/resume": {"post": _call("Begin clips again", queue)},
        "/v1/models": {"get": _call("The model", _list(anything))},
        "/v1/models/{model}": {"get": {**_call("What the model offers", anything), "parameters": model}},
        "/v1/plan": {"get": _call("What a clip will cost", anything, query=plan)},
        "/v1/enhance": {"post": _call("A prompt that the model knows", anything, body=_body(_enhance(), form=False))},
        "/v1/session": {
            "get": _call("Who asks", session),
            "post": _call("Keep a key in a cookie", session, body=key),
            "delete": _call("Forget the key", anything),
        },
        "/health": {"get": _call("Whether the process answers", anything)},
        "/ready": {"get": _call("Whether clips are being made", anything)},
        "/metrics": {"get": _call("What is counted", None, kind="text/plain")},
    }


_ACTIONS: Final = {
    "cancel": "Stop a clip",
    "hold": "Keep a clip from being begun",
    "release": "Let a clip be begun",
    "duplicate": "Make a clip again as it is",
}
_ONWARD: Final = {"edits": "Make parts of a clip anew", "extensions": "Go on from a clip"}


def _onward(name: str) -> Schema:
    source = {"type": "object", "properties": {"id": {"type": "string", "pattern": _ID}}, "required": ["id"]}
    shared = {"video": source, "prompt": _TEXT, "negative_prompt": _TEXT, "seed": _WHOLE, "num_inference_steps": _WHOLE}
    shared["retries"] = _RETRIES
    longer = {"seconds": _TEXT, "overlap": _OVERLAP, "prompt_at": _PROMPT_AT, "audio": _medium(), "start_s": _NUMBER}
    own = {"retake": _RETAKE, "keyframes": _keyframes()} if name == "edits" else longer
    return {"type": "object", "properties": {**shared, **own}, "required": ["video", "prompt"]}


def _enhance() -> Schema:
    languages = {"type": "string", "enum": [str(one) for one in Language]}
    fields = {"prompt": _TEXT, "image": {"type": ["string", "null"]}, "size": _TEXT, "language": languages}
    return {"type": "object", "properties": fields, "required": ["prompt"], "additionalProperties": False}


def _asked(offer: Offer, settings: ServeSettings) -> Schema:
    limits, defaults = settings.limits, offer.defaults
    prompt = {"type": "string", "minLength": 1, "maxLength": limits.prompt_chars}
    known: Schema = {
        "prompt": prompt,
        "negative_prompt": {**prompt, "minLength": 0},
        "model": {"type": "string", "enum": [offer.name]},
        "size": {
            "type": "string",
            "pattern": "^[0-9]{1,5}x[0-9]{1,5}$",
            "example": f"{defaults.width}x{defaults.height}",
        },
        "seed": {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
        "n": {"type": "integer", "minimum": 1, "maximum": limits.variants},
        "seconds": {"anyOf": [_TEXT, {"type": "number", "exclusiveMinimum": 0, "maximum": 3600}]},
        "num_frames": {"type": "integer", "minimum": 1, "maximum": limits.clip_frames},
        "num_inference_steps": {"type": "integer", "minimum": 1, "maximum": limits.clip_steps},
        "speed": {"type": "string", "enum": list(offer.speeds)},
        "hold": _FLAG,
        "generate_sound": {"type": "boolean", "description": "false is only=video"},
        "only": {"enum": [*MODALITIES, None], "description": "the one modality that is asked for"},
        "fit": {"type": "string", "enum": list(FITS), "description": "of media of another shape or length"},
        "retries": _RETRIES,
        "null_image": {"type": "string", "enum": list(NULL_IMAGES)},
        "keyframes": _keyframes(),
        "prompt_at": _PROMPT_AT,
        "windows": {"type": "string", "enum": list(METHODS), "description": "how windows of a long clip are made"},
        "overlap": _OVERLAP,
        "enhancement": _ANY,
        "retake": _RETAKE,
        "guidance_interval": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
        "extra_body": _ANY,
    }
    texts = [name for name, kind in GivenSettings.__annotations__.items() if "str" in str(kind)]
    rest = {name: _TEXT if name in texts else _NUMBER for name in FIELDS if name not in known}
    media = {name: _medium() for name in (*MEDIA, "input_reference")}
    return {"type": "object", "additionalProperties": False, "properties": {**known, **rest, **media}}


def _keyframes() -> Schema:
    one = {"type": "object", "properties": {"time": _NUMBER, "image": _medium()}, "required": ["time", "image"]}
    return {
        "description": "images at seconds; in a form files named keyframes[SECONDS], or the list as JSON",
        "type": "array",
        "maxItems": len(KEYFRAMES),
        "items": {**one, "additionalProperties": False},
    }


def _medium() -> Schema:
    clip = {"video_id": {"type": "string", "pattern": _ID}, "part": {"type": "string", "enum": list(PARTS)}}
    return {
        "description": "a file of a form; in JSON a data URL, or a part of a finished clip",
        "anyOf": [
            {"type": "string", "format": "binary"},
            {"type": "object", "properties": clip, "required": ["video_id"], "additionalProperties": False},
            {
                "type": "object",
                "properties": {"image_url": _TEXT},
                "required": ["image_url"],
                "additionalProperties": False,
            },
            {"type": "null"},
        ],
    }


def _video() -> Schema:
    maybe = {"type": ["integer", "null"]}
    fields: Schema = {
        "id": {"type": "string", "pattern": _ID},
        "object": {"type": "string", "enum": ["video"]},
        "model": _TEXT,
        "status": {"type": "string", "enum": list(dict.fromkeys(STATUSES.values()))},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "created_at": _WHOLE,
        "completed_at": maybe,
        "expires_at": maybe,
        "error": {"type": ["object", "null"]},
        "prompt": _TEXT,
        "seconds": {"type": ["string", "null"]},
        "size": {"type": ["string", "null"]},
        "remixed_from_video_id": {"type": ["string", "null"]},
        "state": {"type": "string", "enum": [str(state) for state in JobState]},
        "seed": _WHOLE,
        "num_frames": maybe,
        "fps": {"type": ["number", "null"]},
        "settings": _ANY,
        "speed": _TEXT,
        "inputs": {"type": "array", "items": {"type": "string", "enum": list(INPUTS)}},
        "keyframes": {"type": "array", "items": _object(time=_NUMBER, input=_TEXT)},
        "only": {"type": ["string", "null"]},
        "fit": _TEXT,
        "retries": _WHOLE,
        "attempts": {"type": "array", "items": _object(seed=_WHOLE, found=_TEXT, words=_TEXT)},
        "made_seed": maybe,
        "prompt_at": {"type": "array", "items": _object(time=_NUMBER, prompt=_TEXT)},
        "windows": {"type": ["string", "null"]},
        "overlap": {"type": ["number", "null"]},
        "num_windows": _WHOLE,
        "window": maybe,
        "position": maybe,
        "left_s": {"type": ["number", "null"]},
        "has": _object(**dict.fromkeys(VARIANTS, _FLAG)),
        "warnings": {"type": "array", "items": _TEXT},
        "notes": {"type": "array", "items": _TEXT},
        "variants": {"type": "array", "items": _TEXT},
    }
    return {"type": "object", "properties": fields, "required": [name for name in fields if name != "variants"]}


def _error() -> Schema:
    text = {"type": ["string", "null"]}
    inside = _object(message=_TEXT, type=_TEXT, code=_TEXT)
    inside["properties"] |= {"param": text, "nearest": text}
    return _object(error=inside)


def _call(
    summary: str,
    schema: Schema | None,
    *,
    path: bool = False,
    body: Schema | None = None,
    query: Sequence[Schema] = (),
    headers: Sequence[Schema] = (),
    kind: str = "application/json",
) -> Schema:
    given: Mapping[str, Schema] = {} if schema is None else {"schema": schema}
    found: Schema = {
        "summary": summary,
        "responses": {
            "200": {"description": "done", "content": {kind: dict(given)}},
            **{status: _failed(text) for status, text in _ERRORS.items()},
        },
    }
    named = {"name": "video_id", "in": "path", "required": True, "schema": {"type": "string", "pattern": _ID}}
    parameters = [*([named] if path else []), *query, *headers]
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = body
    return found


def _missing(summary: str) -> Schema:
    return {
        "summary": summary,
        "responses": {"501": _failed("no model can do this yet"), "403": _failed("not allowed")},
    }


def _failed(text: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": _ref("Error")}}}


def _body(schema: Schema, *, form: bool = True) -> Schema:
    kinds = ("application/json", "multipart/form-data") if form else ("application/json",)
    return {"content": {kind: {"schema": schema} for kind in kinds}}


def _object(**fields: Schema) -> Schema:
    return {"type": "object", "properties": dict(fields), "required": list(fields)}


def _list(item: Schema) -> Schema:
    return _object(object=_TEXT, data={"type": "array", "items": item})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _list_query() -> tuple[Schema, ...]:
    statuses = list(dict.fromkeys(STATUSES.values()))
    return (
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE}),
        _query("order", {"type": "string", "enum": ["asc", "desc"]}),
        _query("after", {"type": "string", "pattern": _ID}),
        _query("search", {"type": "string", "maxLength": 200}),
        _query("status", {"type": "string", "enum": statuses}),
    )


def _variant() -> Schema:
    return _query("variant", {"type": "string", "enum": [*VARIANTS, *INPUT_VARIANTS]})


def _key() -> Schema:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": 255},
    }
