"""Where media of a request come from: a file of a form, a data URL, an address, or a part of a finished clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mova.files.json_file import shorten
from mova.serve.faults import FieldError
from mova.serve.intake.bodies import Upload
from mova.serve.intake.fields import text_of

PARTS: Final = ("first_frame", "last_frame", "video", "audio")
"""What of a finished clip another one may be made from."""
_DATA: Final = "data:"
_MOST_NAME: Final = 300
_MOST_ADDRESS: Final = 4000


@dataclass(frozen=True)
class DataUrl:
    """Media inside of a request."""

    text: str


@dataclass(frozen=True)
class Link:
    """Media at an address."""

    url: str


@dataclass(frozen=True)
class OfClip:
    """Media out of a clip that is there.

    Attributes:
        video_id: of the clip.
        part: one of `PARTS`.
    """

    video_id: str
    part: str


Source = Upload | DataUrl | Link | OfClip


def source_of(name: str, value: object, *, usual_part: str) -> Source:
    """Return where media come from.

    Args:
        name: of the field, for errors.
        value: that was sent for it.
        usual_part: of a clip, where none is named.

    Raises:
        FieldError: something else.
    """
    if isinstance(value, Upload):
        return value
    if isinstance(value, dict):
        keys = set(value)
        if keys <= {"video_id", "part"} and isinstance(value.get("video_id"), str):
            part = value.get("part", usual_part)
            if part not in PARTS:
                raise FieldError(f"part of a clip must be one of {', '.join(PARTS)}; got {shorten(part)}", name)
            return OfClip(text_of(name, value["video_id"], most=_MOST_NAME), part)
        if keys == {"image_url"}:
            value = value["image_url"]
        elif "file_id" in keys:
            raise FieldError(f"{name} must be a file or a data URL, got a file_id, of which this server has none", name)
    if isinstance(value, str) and value.startswith(_DATA):
        return DataUrl(value)
    if isinstance(value, str) and value.startswith(("http://", "https://")) and len(value) <= _MOST_ADDRESS:
        return Link(value)
    rule = f"{name} must be a file, a data URL, or an object with video_id and part"
    raise FieldError(f"{rule}; got {shorten(value)}", name)
