"""A first frame described under four heads by a model that looks at it; what can be read is kept as it is written."""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mova.endpoints.client import Client, Shared
from mova.endpoints.messages import Image, system, user
from mova.endpoints.replies import plain
from mova.generate.enhance.calls import call_of
from mova.generate.enhance.enhanced import Call, FrameDescription
from mova.generate.enhance.instructions import FRAME
from mova.generate.enhance.settings import VisionSection

MOST_TEXTS: Final = 12
_MOST_LETTERS: Final = 200
_ASKED: Final = "The first frame:"


def _listed(value: object) -> object:
    """Return a single text as a list of it, and nothing at all as none."""
    if isinstance(value, str):
        return [] if value.strip().lower() in ("", "null", "none") else [value]
    return value or []


def _closed(schema: dict[str, Any]) -> None:
    schema["additionalProperties"] = False


_Prose = Annotated[str, AfterValidator(plain), Field(max_length=5000)]


class FrameReport(BaseModel):
    """What the model says; what it adds is no reason to ask again.

    Attributes:
        visual_style, cinematography, elements: in words.
        on_screen_text: each text as written.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra=_closed)

    visual_style: _Prose
    cinematography: _Prose
    elements: _Prose
    on_screen_text: Annotated[
        list[Annotated[str, AfterValidator(plain), Field(max_length=1000)]],
        BeforeValidator(_listed),
        Field(max_length=200),
    ]


async def describe_frame(
    frame: NDArray[np.uint8], section: VisionSection, shared: Shared
) -> tuple[FrameDescription | None, Call]:
    """Ask what a first frame shows.

    Args:
        frame: (H, W, 3) uint8.
        section: of the model.
        shared: what calls share.

    Returns:
        None where the call did not end well.
    """
    async with Client(section, shared) as client:
        asked = [system(FRAME), user(_ASKED, Image.of(smaller(frame, section.short_side)))]
        answer = await client.ask(asked, FrameReport, "frame")
    call = call_of("frame", section, answer.reply)
    if answer.value is None:
        return None, call
    report = answer.value
    texts = [" ".join(text.split()) for text in report.on_screen_text]
    # Of a page of text nobody wants every line in a prompt.
    kept = tuple(dict.fromkeys(text for text in texts if text and len(text) <= _MOST_LETTERS))[:MOST_TEXTS]
    return FrameDescription(report.visual_style, report.cinematography, report.elements, kept), call


def smaller(frame: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) whose shorter side has at most that many pixels, its longer one four times as many."""
    from PIL import Image as Pillow

    height, width = frame.shape[:2]
    scale = min(1.0, short_side / min(height, width), 4 * short_side / max(height, width))
    if scale == 1.0:
        return frame
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Pillow.fromarray(frame).resize(size, Pillow.Resampling.LANCZOS))
