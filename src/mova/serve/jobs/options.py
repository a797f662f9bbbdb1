"""An order in the words of `mova generate`, for whoever checks it and for whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.files.json_file import Fields
from mova.generate.enhance.enhanced import EnhancementRecord
from mova.generate.given import KeyframeFile, parse_retake
from mova.generate.long.choice import LongChoice
from mova.generate.request import ClipOptions, MediaFiles
from mova.serve.jobs.records import KEYFRAMES, ClipOrder

_FILES: Final = tuple(item.name for item in fields(MediaFiles))


def options_of(order: ClipOrder, files: Mapping[str, Path]) -> ClipOptions:
    """Return what is asked of a clip.

    Args:
        order: of the clip.
        files: its media, by the names of its inputs.

    Raises:
        MovaError: a value that no clip can have.
    """
    return ClipOptions(
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        seed=order.seed,
        start_s=order.start_s or None,
        retries=order.retries,
        long=_long(order, files.get("extend")),
        files=MediaFiles(**{name: files[name] for name in _FILES if name in files}),
        keyframes=tuple(
            KeyframeFile(time_s, files[name]) for time_s, name in zip(order.keyframes, KEYFRAMES, strict=False)
        ),
        retakes=tuple(map(parse_retake, order.retakes)) or None,
        only=order.only,
        fit=order.fit,
        settings=order.given(),
        enhancement=_enhancement(order),
    )


def _long(order: ClipOrder, extend: Path | None) -> LongChoice | None:
    if order.long is None:
        return None
    return LongChoice.read(Fields(dict(order.long), "long", ConfigError), extend)


def _enhancement(order: ClipOrder) -> EnhancementRecord | None:
    """Return what the file says of where its prompt came from; None where nothing is said of it, or nonsense."""
    if order.enhancement is None:
        return None
    try:
        return EnhancementRecord.read(Fields(dict(order.enhancement), "enhancement", ConfigError))
    except ConfigError:
        return None
