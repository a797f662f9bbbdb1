"""A first frame made of a text: the prompt of an image is written first, then the image is drawn."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.endpoints.client import Client, Shared
from mova.endpoints.messages import assistant, system, user
from mova.endpoints.outcomes import Outcome
from mova.endpoints.replies import declines
from mova.errors import MovaError
from mova.files.json_file import shorten_text
from mova.generate.enhance.calls import call_of
from mova.generate.enhance.checks import count_words, quoted_lines
from mova.generate.enhance.enhanced import Call, CallEnd
from mova.generate.enhance.instructions import image_prompt, material
from mova.generate.enhance.local_images import draw_locally
from mova.generate.enhance.settings import EnhanceSettings, ImagesSection, LocalImagesSection, Orientation
from mova.media.frames import read_image_bytes

LEAST_WORDS, MOST_WORDS = 100, 250
_SIZES: Final = {
    Orientation.LANDSCAPE: (1280, 720),
    Orientation.PORTRAIT: (720, 1280),
    Orientation.SQUARE: (1024, 1024),
}


def size_of(settings: EnhanceSettings) -> tuple[int, int]:
    """Return (width, height) of a first frame."""
    if not settings.image_size:
        return _SIZES[settings.orientation]
    width, _, height = settings.image_size.partition("x")
    return int(width), int(height)


async def make_first_frame(
    text: str, settings: EnhanceSettings, shared: Shared
) -> tuple[NDArray[np.uint8] | None, list[Call]]:
    """Make the first frame of a text.

    Args:
        text: what the user wrote.
        settings: with `images` or `local_images`; with `text`, its model writes the prompt of the image.
        shared: what calls share.

    Returns:
        (H, W, 3) uint8, None where none came, and the calls.
    """
    prompt, calls = await _write_prompt(text, settings, shared)
    size = size_of(settings)
    if settings.local_images is not None:
        frame, call = await asyncio.to_thread(_draw, prompt, size, settings.local_images)
    else:
        assert settings.images is not None, "settings name one of the two"
        frame, call = await _ask(prompt, size, settings.images, shared)
    return frame, [*calls, call]


async def _write_prompt(text: str, settings: EnhanceSettings, shared: Shared) -> tuple[str, list[Call]]:
    """Return the prompt of an image, the user's own text where none of the right length came, and the calls."""
    section, calls = settings.text, list[Call]()
    if section is None:
        return text, calls
    messages = [system(image_prompt()), user(material(text))]
    async with Client(section, shared) as client:
        for _ in range(2):
            reply = await client.chat(messages, "image prompt")
            if reply.outcome is Outcome.OK and declines(reply.text):
                reply = replace(reply, outcome=Outcome.REFUSED, detail=shorten_text(reply.text, 300))
            call = call_of("image prompt", section, reply)
            if reply.outcome is not Outcome.OK:
                return text, [*calls, call]
            prompt = " ".join(reply.text.split())
            fault = _fault(prompt, text)
            if not fault:
                return prompt, [*calls, call]
            calls.append(replace(call, end=CallEnd.FAULTY, detail=fault))
            messages += [assistant(prompt), user(f"{fault} Write the paragraph anew. Answer with it alone.")]
    return text, calls


def _fault(prompt: str, text: str) -> str:
    words = count_words(prompt)
    if not LEAST_WORDS <= words <= MOST_WORDS:
        return f"There are {words} words, and {LEAST_WORDS} to {MOST_WORDS} are asked for."
    strange = [line for line in quoted_lines(prompt) if line.strip(" .,!?") not in text]
    return f'Nobody named the quoted words "{shorten_text(strange[0])}".' if strange else ""


async def _ask(
    prompt: str, size: tuple[int, int], section: ImagesSection, shared: Shared
) -> tuple[NDArray[np.uint8] | None, Call]:
    async with Client(section, shared) as client:
        answer = await client.image(prompt, f"{size[0]}x{size[1]}", "image")
    call = call_of("image", section, answer.reply)
    if answer.value is None:
        return None, call
    try:
        return read_image_bytes(answer.value, "the image of the endpoint"), call
    except MovaError as problem:
        return None, replace(call, end=CallEnd.INVALID, detail=shorten_text(str(problem), 400))


def _draw(prompt: str, size: tuple[int, int], section: LocalImagesSection) -> tuple[NDArray[np.uint8] | None, Call]:
    name = section.folder.name
    try:
        return draw_locally(prompt, size, section), Call("image", CallEnd.OK, model=name, attempts=1)
    except MovaError as problem:
        return None, Call("image", CallEnd.INVALID, shorten_text(str(problem), 400), model=name, attempts=1)
