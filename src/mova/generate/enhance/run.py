"""One enhancement from beginning to end: the first frame, its description, the text; each step that fails is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mova.endpoints.client import Shared
from mova.endpoints.keys import read_key
from mova.endpoints.wire import check_installed
from mova.files.json_file import shorten_text
from mova.generate.enhance.calls import complain
from mova.generate.enhance.checks import has_open_quote
from mova.generate.enhance.describe import describe_frame
from mova.generate.enhance.enhanced import Call, CallEnd, Enhanced, FrameDescription, check_text
from mova.generate.enhance.first_frame import make_first_frame
from mova.generate.enhance.local_images import check_local
from mova.generate.enhance.offline import enhance_offline
from mova.generate.enhance.rewrite import rewrite_text
from mova.generate.enhance.settings import OFFLINE, EnhanceSettings
from mova.generate.enhance.toyworld import DEFAULT_SIZE, enhance_for_toy_world, toy_scope
from mova.names import NO_SUBTITLES

_OWN_TEXT: Final = "the prompt is the text as it was written"
_CONSEQUENCES: Final = {
    "frame": "the prompt is written without a description of the first frame",
    "image prompt": "the first frame is made of the text as it was written",
    "image": "there is no first frame",
    "text": _OWN_TEXT,
    "repair": _OWN_TEXT,
}


def enhance(
    text: str,
    image: NDArray[np.uint8] | None = None,
    settings: EnhanceSettings = OFFLINE,
    *,
    model: str | Path | None = None,
    size: tuple[int, int] = DEFAULT_SIZE,
    shared: Shared | None = None,
) -> Enhanced:
    """Return a text as the prompt that a model wants; see `enhance_async`.

    Raises:
        ConfigError, CheckpointError, MissingExtraError: as there.
    """
    return asyncio.run(enhance_async(text, image, settings, model=model, size=size, shared=shared))


async def enhance_async(
    text: str,
    image: NDArray[np.uint8] | None = None,
    settings: EnhanceSettings = OFFLINE,
    *,
    model: str | Path | None = None,
    size: tuple[int, int] = DEFAULT_SIZE,
    shared: Shared | None = None,
) -> Enhanced:
    """Return a text as the prompt that a model wants.

    For a model that learned the toy world, free wording becomes one of its captions and a first frame, without any
    endpoint. For every other one the paper's steps are taken: a first frame is made where the settings ask for one, it
    is described, and a model rewrites text and description; without an endpoint, rules do it. Whatever an endpoint does
    ends in a result: what failed stands in `problems` and `calls`; where no prompt came, the text is the user's own.

    Args:
        text: what the user wrote, in any language.
        image: first frame (H, W, 3) uint8 that the user gives.
        settings: who enhances.
        model: that the prompt is for, a shipped name, a directory or a hub id (which is not looked up); None stands for
            a published model.
        size: (height, width) of a first frame of the toy world.
        shared: what calls share; by default their own.

    Raises:
        ConfigError: no text or too much, a key that is not set, no pipeline in the folder of local images.
        CheckpointError: the model's own file of words is damaged.
        MissingExtraError: an endpoint is named and `openai` is not installed.
    """
    text = check_text(text)
    scope = None if model is None else toy_scope(model)
    if scope is not None:
        return await asyncio.to_thread(enhance_for_toy_world, text, scope, size=size, has_image=image is not None)
    check_ready(settings)
    return await _Enhancement(text, settings, shared or Shared()).run(image)


def check_ready(settings: EnhanceSettings) -> None:
    """Check what can be checked before anything is asked.

    Raises:
        ConfigError: the environment variable of a key is not set, or no pipeline in the folder of local images.
        MissingExtraError: an endpoint is named and `openai` is not installed.
    """
    sections = [section for section in (settings.text, settings.vision, settings.images) if section is not None]
    if sections:
        check_installed()
    for section in sections:
        read_key(section.api_key_env)
    if settings.local_images is not None:
        check_local(settings.local_images)


class _Enhancement:
    """The steps of one enhancement, and what became of each."""

    def __init__(self, text: str, settings: EnhanceSettings, shared: Shared) -> None:
        self._text, self._settings, self._shared = text, settings, shared
        self._calls: list[Call] = []

    async def run(self, image: NDArray[np.uint8] | None) -> Enhanced:
        """Take all steps."""
        made = None
        if image is None and self._settings.first_frame:
            made, calls = await make_first_frame(self._text, self._settings, self._shared)
            self._calls += calls
        description = await self._describe(image if made is None else made)
        enhanced = await self._write(description)
        return replace(
            enhanced,
            problems=(*self._problems(), *enhanced.problems),
            frame_description=description,
            first_frame=made,
            calls=tuple(self._calls),
        )

    async def _describe(self, frame: NDArray[np.uint8] | None) -> FrameDescription | None:
        if frame is None or self._settings.vision is None:
            return None
        description, call = await describe_frame(frame, self._settings.vision, self._shared)
        self._calls.append(call)
        return description

    async def _write(self, description: FrameDescription | None) -> Enhanced:
        settings, text = self._settings, self._text
        if settings.text is None:
            return enhance_offline(text, no_subtitles=settings.no_subtitles, most_words=settings.most_words)
        prompt, calls = await rewrite_text(text, description, settings, self._shared)
        self._calls += calls
        host = urlsplit(settings.text.base_url).netloc
        problems = ("a quotation mark is never closed",) if has_open_quote(text) else ()
        if prompt is None:
            return Enhanced(text, text, problems=problems, is_fallback=True, provider=host, model=settings.text.model)
        changes = [f"rewritten by {settings.text.model} at {host}"]
        if len(calls) > 1:
            changes.append(f"asked for once more: {shorten_text(calls[0].detail, 200)}")
        if settings.no_subtitles and NO_SUBTITLES not in prompt:
            prompt = f"{NO_SUBTITLES} {prompt}"
        return Enhanced(prompt, text, tuple(changes), problems, provider=host, model=settings.text.model)

    def _problems(self) -> list[str]:
        """Return a sentence for each step that failed; one that was mended is none."""
        last = {call.step: call for call in self._calls}
        if "repair" in last:
            del last["text"]
        return [complain(call, _CONSEQUENCES[call.step]) for call in last.values() if call.end is not CallEnd.OK]
