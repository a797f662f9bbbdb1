"""Fields of a request for clips: OpenAI's, those that SGLang adds, and ours; all are checked, none is passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mova.errors import ConfigError, MovaError
from mova.files.json_file import field_kinds, parse_json, shorten
from mova.serve.faults import FieldError, fault_of, unknown_field
from mova.serve.intake.bodies import Body, Upload
from mova.serve.intake.fields import flag_of, number_of, text_of, whole_of
from mova.serve.intake.moments import read_keyframes, read_prompts
from mova.serve.intake.sources import Source, source_of
from mova.serve.jobs.records import KEYFRAMES
from mova.serve.settings import LimitsSection
from mova.settings.sampling import GivenSettings
from mova.settings.size import parse_size

MEDIA: Final = ("image", "last_image", "video", "audio")
"""Names of media that a clip is made from, and that have a field each."""
_SPELT: Final = {"input_reference": "image", "reference_url": "image"}
_OF_SETTINGS: Final = field_kinds(GivenSettings)
_SIDES: Final = ("width", "height")
_RATE: Final = "frame_rate"
_WHOLE: Final = tuple(name for name, kind in _OF_SETTINGS.items() if kind is int and name not in _SIDES)
_NUMBERS: Final = {"fps" if name == _RATE else name: name for name, kind in _OF_SETTINGS.items() if kind is float}
_TEXTS: Final = tuple(name for name, kind in _OF_SETTINGS.items() if kind is str)
_INTERVALS: Final = tuple(name for name, kind in _OF_SETTINGS.items() if kind is tuple)
_OTHERS: Final = (
    *("prompt", "negative_prompt", "model", "size", "seconds", "seed", "n", "speed", "start_s"),
    *("hold", "enhancement", "retake", "keyframes", "only", "fit", "retries", "windows", "overlap", "prompt_at"),
    *("flow_shift", "guidance_scale_2", "generate_sound", *_SIDES, *_INTERVALS),
)
_NESTED: Final = ("extra_body", "extra_params")
FIELDS: Final = (*_OTHERS, *_WHOLE, *_NUMBERS, *_TEXTS)
"""Names of fields beside those of media."""
KNOWN: Final = (*FIELDS, *MEDIA, *_SPELT, *_NESTED)
_INSIDE: Final = re.compile(r"([a-z_]{1,40})\[([a-z0-9_.]{1,40})\]")
_WITH_FILES: Final = "keyframes"
_MOST_NAME: Final = 300
_MOST_ENHANCEMENT: Final = 100_000
_MOST_DEPTH: Final = 20
_MOST_NESTED: Final = 100
_MOST_S: Final = 3600.0
_MOST_RETAKES: Final = 20


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request asks for, as far as it says; None is left to what stands behind it, in the end the model.

    Attributes:
        prompt, negative_prompt, model, speed: texts.
        seed: 0 or more.
        num_variants: clips that differ in their seeds.
        seconds: length of the clip; `num_frames` among the settings wins.
        settings: sampling settings, by field of `GivenSettings`.
        start_s: where in the given video or audio the clip begins.
        only: the one modality that is asked for; empty takes away that it was one.
        fit: what is done with media of another shape or length.
        retries: how often what is flat, frozen or not finite is made again with another seed.
        keyframes: seconds at which images stand; the images are among the media, by `KEYFRAMES`. Empty takes away
            those that were there.
        windows: how windows of a long clip are made, one of `mova.conditioning.windows.METHODS`.
        overlap_s: seconds that a window takes over from the one before.
        prompts_at: (seconds, prompt) that hold from there on.
        is_held: whether it waits until it is let go.
        enhancement: what was done to the prompt.
        retakes: spans of the given video that are made anew.
        media: by one of `mova.serve.jobs.records.INPUTS`; None takes one away that was there.
        ignored: fields inside of `extra_body` that nothing is known of.
    """

    prompt: str | None = None
    negative_prompt: str | None = None
    model: str | None = None
    seed: int | None = None
    num_variants: int = 1
    seconds: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    speed: str | None = None
    start_s: float | None = None
    is_held: bool = False
    enhancement: Mapping[str, Any] | None = None
    retakes: tuple[str, ...] | None = None
    only: str | None = None
    fit: str | None = None
    retries: int | None = None
    keyframes: tuple[float, ...] | None = None
    windows: str | None = None
    overlap_s: float | None = None
    prompts_at: tuple[tuple[float, str], ...] | None = None
    media: Mapping[str, Source | None] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def read_asked(body: Body, limits: LimitsSection) -> Asked:
    """Read the fields of a request.

    Args:
        body: of the request.
        limits: of texts and variants.

    Raises:
        FieldError: a field that there is not, or a value that it cannot have: rule, value and nearest.
    """
    values, sources = _gather(body)
    ignored = _take_nested(values)
    media = _media(sources)
    keeps_both = "only" in values and values["only"] is None
    values = {name: value for name, value in values.items() if not _is_empty(value)}
    for name in values:
        if name not in FIELDS:
            raise unknown_field(name, KNOWN)
    enhancement = values.get("enhancement")
    keyframes = None if "keyframes" not in values else read_keyframes(values["keyframes"])
    media |= {name: source for name, (_, source) in zip(KEYFRAMES, keyframes or (), strict=False)}
    return Asked(
        prompt=_text(values, "prompt", limits.prompt_chars),
        negative_prompt=_text(values, "negative_prompt", limits.prompt_chars),
        model=_text(values, "model", _MOST_NAME),
        seed=None if "seed" not in values else whole_of("seed", values["seed"]),
        num_variants=_variants(values, limits),
        seconds=_seconds(values),
        settings=_settings(values),
        speed=_text(values, "speed", _MOST_NAME),
        start_s=None if "start_s" not in values else number_of("start_s", values["start_s"]),
        is_held="hold" in values and flag_of("hold", values["hold"]),
        enhancement=None if enhancement is None else _enhancement(enhancement),
        retakes=None if "retake" not in values else _retakes(values["retake"]),
        only="" if keeps_both else _only(values),
        fit=_text(values, "fit", _MOST_NAME),
        retries=None if "retries" not in values else whole_of("retries", values["retries"]),
        keyframes=None if keyframes is None else tuple(time for time, _ in keyframes),
        windows=_text(values, "windows", _MOST_NAME),
        overlap_s=None if "overlap" not in values else number_of("overlap", values["overlap"]),
        prompts_at=None if "prompt_at" not in values else read_prompts(values["prompt_at"], limits.prompt_chars),
        media=media,
        ignored=ignored,
    )


def _gather(body: Body) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return values and media by field; `name[key]` of a form is a key of an object."""
    values: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    for name, value in body.values.items():
        place, key = name, ""
        if body.is_form and (found := _INSIDE.fullmatch(name)):
            place, key = found[1], found[2]
        into = sources if place in MEDIA or place in _SPELT else values
        if not key:
            into[place] = value
        elif isinstance(into.setdefault(place, {}), dict):
            into[place][key] = value
    for name, upload in body.uploads.items():
        if (found := _INSIDE.fullmatch(name)) and found[1] == _WITH_FILES:
            _put_inside(values, found[1], found[2], upload)
            continue
        if name in FIELDS:
            raise FieldError(f"{name} must be a text, got a file", name)
        if name not in MEDIA and name not in _SPELT:
            raise unknown_field(name, KNOWN)
        if name in sources:
            raise FieldError(f"{name} must be given once, got a file and a text", name)
        if upload.size_bytes:  # a form without a choice sends an empty file
            sources[name] = upload
    return values, sources


def _put_inside(values: dict[str, Any], name: str, key: str, upload: Upload) -> None:
    """Put a file of a form where `name[key]` says."""
    into = values.setdefault(name, {})
    if not isinstance(into, dict) or key in into:
        raise FieldError(f"{name} must be given once, got a file and a text", name)
    if upload.size_bytes:
        into[key] = upload


def _take_nested(values: dict[str, Any]) -> tuple[str, ...]:
    """Put the fields of `extra_body` where none is given; return the names of those that nothing is known of."""
    ignored: list[str] = []
    for name in _NESTED:
        nested = values.pop(name, None)
        if _is_empty(nested):
            continue
        if isinstance(nested, str):
            try:
                nested = parse_json(nested, name, error=ConfigError)
            except ConfigError as error:
                raise FieldError(str(error), name) from None
        if not isinstance(nested, dict):
            raise FieldError(f"{name} must be an object, got {shorten(nested)}", name)
        if len(nested) > _MOST_NESTED:
            raise FieldError(f"{name} must have at most {_MOST_NESTED} fields, got {len(nested)}", name)
        for key, value in nested.items():
            if key in FIELDS:
                values.setdefault(key, value)
            else:
                ignored.append(shorten(key))
    return tuple(ignored[:20])


def _media(sources: Mapping[str, Any]) -> dict[str, Source | None]:
    media: dict[str, Source | None] = {}
    for name, value in sources.items():
        place = _SPELT.get(name, name)
        if isinstance(value, str) and not value:
            continue
        if place in media:
            raise FieldError(f"{place} must be given once, got it under two names", name)
        media[place] = None if value is None else source_of(name, value, usual_part=_usual_part(place))
    return media


def _usual_part(place: str) -> str:
    return {"image": "first_frame", "last_image": "last_frame"}.get(place, place)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "size" in values:
        try:
            found["width"], found["height"] = parse_size(text_of("size", values["size"], most=100))
        except MovaError as error:
            raise fault_of(error, "size") from None
    for name in _SIDES:
        if name in values and name not in found:
            found[name] = whole_of(name, values[name])
    if "flow_shift" in values:
        found["video_shift"] = found["audio_shift"] = number_of("flow_shift", values["flow_shift"])
    found |= {name: whole_of(name, values[name]) for name in _WHOLE if name in values}
    found |= {place: number_of(name, values[name]) for name, place in _NUMBERS.items() if name in values}
    found |= {name: text_of(name, values[name], most=_MOST_NAME) for name in _TEXTS if name in values}
    found |= {name: _interval(name, values[name]) for name in _INTERVALS if name in values}
    if "guidance_scale_2" in values and number_of("guidance_scale_2", values["guidance_scale_2"]) != found.get(
        "guidance_scale"
    ):
        raise FieldError(
            "guidance_scale_2 must equal guidance_scale: both experts are guided alike; nearest is to leave it out",
            "guidance_scale_2",
        )
    return found


def _only(values: Mapping[str, Any]) -> str | None:
    """Return the one modality that is asked for; SGLang's word for video alone is `generate_sound`."""
    found = _text(values, "only", _MOST_NAME)
    if "generate_sound" in values and not flag_of("generate_sound", values["generate_sound"]):
        if found not in (None, "video"):
            raise FieldError(
                f"only must be video where generate_sound is false, got {shorten(found)}; nearest is video", "only"
            )
        return "video"
    return found


def _interval(name: str, value: object) -> list[float]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or len(value) != 2:
        raise FieldError(f"{name} must be two numbers, got {shorten(value)}", name)
    return [number_of(name, one) for one in value]


def _retakes(value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else str(value).split(",")
    if len(texts) > _MOST_RETAKES:
        raise FieldError(f"retake must be at most {_MOST_RETAKES} spans, got {len(texts)}", "retake")
    return tuple(text_of("retake", text, most=100).strip() for text in texts)


def _seconds(values: Mapping[str, Any]) -> float | None:
    if "seconds" not in values:
        return None
    found = number_of("seconds", values["seconds"])
    if not 0 < found <= _MOST_S:
        raise FieldError(
            f"seconds must be more than 0 and at most {_MOST_S:g}, got {found:g}; nearest is "
            f"{_MOST_S if found > 0 else 1:g}",
            "seconds",
        )
    return found


def _variants(values: Mapping[str, Any], limits: LimitsSection) -> int:
    count = whole_of("n", values["n"]) if "n" in values else 1
    if not 1 <= count <= limits.variants:
        nearest = min(max(count, 1), limits.variants)
        raise FieldError(f"n must be 1 to {limits.variants}, got {shorten(count)}; nearest is {nearest}", "n")
    return count


def _enhancement(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        text_of("enhancement", value, most=_MOST_ENHANCEMENT)
        try:
            value = parse_json(value, "enhancement", error=ConfigError)
        except ConfigError as error:
            raise FieldError(str(error), "enhancement") from None
    if not isinstance(value, dict):
        raise FieldError(f"enhancement must be an object, got {shorten(value)}", "enhancement")
    _check_plain(value)
    return value


def _check_plain(value: dict[str, Any]) -> None:
    """Refuse what cannot be kept: too much of it, numbers that are none, halves of characters, depths."""
    import json

    level: list[Any] = [value]
    for _ in range(_MOST_DEPTH):
        level = [inner for one in level for inner in _inner(one)]
    if level:
        raise FieldError(f"enhancement must be at most {_MOST_DEPTH} levels deep, got more", "enhancement")
    try:
        written = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise FieldError(f"enhancement must be plain JSON: {shorten(str(error))}", "enhancement") from None
    text_of("enhancement", written, most=_MOST_ENHANCEMENT)


def _inner(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _text(values: Mapping[str, Any], name: str, most: int) -> str | None:
    return None if name not in values else text_of(name, values[name], most=most)


def _is_empty(value: object) -> bool:
    return value is None or value == ""
