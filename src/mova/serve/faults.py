"""What is wrong with a request, in the form that OpenAI's clients understand."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from mova.errors import MovaError
from mova.files.json_file import field_kinds, shorten
from mova.settings.sampling import GivenSettings
from mova.web.refusals import RefusedError

_NEAREST: Final = re.compile(r"nearest (?:is|are) ([^;]{1,100})$")
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# Options of the command in texts of rules that it shares, and the fields that they are here.
_OPTION: Final = re.compile(r"--([a-z][a-z-]*)\b")
_OPTION_FIELDS: Final = {"length": "seconds", "extend": "video", "frames": "num_frames", "start": "start_s"}
# First words of the rules of `mova.checks`, `mova.geometry` and others, and the fields that they are about.
_PARAMS: Final = {
    "height": "size",
    "width": "size",
    "size": "size",
    "frames": "num_frames",
    "frame rate": "fps",
    "steps": "num_inference_steps",
    "start": "start_s",
    "video and audio": "video",
    "video already": "image",
    **{name: name for name in ("prompt", "seed", "n", "speed", "limit", "after", "retake", "only", "fit", "keyframes")},
    **{name: name for name in ("windows", "overlap", "audio", "retries")},
    "keyframe": "keyframes",
    "prompt-at": "prompt_at",
    "length": "seconds",
    "overlap, windows": "seconds",
    "windows that": "windows",
    "extend": "video",
    "frames of": "video",
    **{name: name for name in field_kinds(GivenSettings) if name not in ("height", "width")},
}


class FieldError(RefusedError):
    """A request that is refused because of one of its fields.

    Args:
        text: rule, value received and, where there is one, the nearest valid value.
        param: name of the field; None for the request as a whole.
        code: what it is, for programs.
        status: of HTTP.
        nearest: valid value; None reads it from the end of the text.
    """

    def __init__(
        self, text: str, param: str | None = None, *, code: str = "invalid_value", status: int = 400, nearest: str = ""
    ) -> None:
        super().__init__(status, code, text)
        self.param, self.nearest = param, nearest


def error_body(refusal: RefusedError) -> Mapping[str, object]:
    """Return what a refusal says in JSON, in OpenAI's form and with `nearest`."""
    kind = "server_error" if refusal.status >= 500 else _TYPES.get(refusal.status, "invalid_request_error")
    param, nearest = (refusal.param, refusal.nearest) if isinstance(refusal, FieldError) else (None, "")
    if not nearest and (found := _NEAREST.search(refusal.text)):
        nearest = found[1]
    return {
        "error": {
            "message": refusal.text,
            "type": kind,
            "param": param,
            "code": refusal.code,
            "nearest": nearest or None,
        }
    }


def fault_of(error: MovaError, param: str | None = None) -> RefusedError:
    """Return the refusal that an error of the package means.

    Args:
        error: what was raised while a request was checked.
        param: field that it is about; None finds it by the first words of the text.
    """
    if isinstance(error, RefusedError):
        return error
    text = _OPTION.sub(lambda found: _OPTION_FIELDS.get(found[1], found[1].replace("-", "_")), str(error))
    if param is None:
        first = sorted((words for words in _PARAMS if text.startswith(f"{words} ")), key=len)
        param = _PARAMS[first[-1]] if first else None
    return FieldError(text, param)


def unknown_field(name: str, known: Iterable[str]) -> FieldError:
    """Return the refusal of a field that there is not, with the known one that is most like it."""
    every = sorted(known)
    close = difflib.get_close_matches(name[:80].lower(), every, n=1, cutoff=0.0)
    return FieldError(
        f"fields must be among {', '.join(every)}; got {shorten(name)}; nearest is {close[0]}",
        name[:80].encode("ascii", "replace").decode(),
        code="unknown_field",
        nearest=close[0],
    )


def not_found(name: str, what: str = "video") -> FieldError:
    """Return the refusal of something that is not there, or is somebody else's."""
    text = f"{what} must be the id of one that is there, got {shorten(name)}"
    return FieldError(text, what, code="not_found", status=404)
