"""Images at moments and spans to be made anew, as the command and lists of prompts write them (no torch here)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mova.checks import check_choice
from mova.conditioning.spec import ALL, MODALITIES, Modality, Span, check_spans, spans_outside
from mova.errors import ConfigError, ReadError

_RETAKE: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)-(\d+(?:\.\d*)?|\.\d+)(?::(\w+))?")


@dataclass(frozen=True)
class KeyframeFile:
    """An image file at a moment of a clip.

    Attributes:
        time_s: seconds after the beginning; moved to where a latent frame ends.
        path: of the image.
    """

    time_s: float
    path: Path


@dataclass(frozen=True)
class Retake:
    """A span of a given clip that is made anew.

    Attributes:
        span: (start, end) in seconds.
        modality: of which; None: of both.
    """

    span: Span
    modality: Modality | None = None

    def __str__(self) -> str:
        """Return it as the command reads it."""
        return f"{self.span[0]:g}-{self.span[1]:g}" + (f":{self.modality}" if self.modality else "")


def parse_keyframe(text: str, folder: Path | None = None) -> KeyframeFile:
    """Read TIME=IMAGE.

    Args:
        text: seconds, and an image file.
        folder: that names of files are relative to.

    Raises:
        ConfigError: something else.
    """
    time, _, name = text.partition("=")
    try:
        time_s = float(time)
    except ValueError:
        time_s = None
    if time_s is None or not name:
        raise ConfigError(f"keyframe must be TIME=IMAGE, seconds and a file, got {text!r}; such as 1.5=middle.png")
    return KeyframeFile(time_s, Path(name) if folder is None else folder / name)


def parse_retake(text: str) -> Retake:
    """Read A-B, A-B:video or A-B:audio.

    Raises:
        ConfigError: something else.
    """
    found = _RETAKE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"retake must be A-B, A-B:video or A-B:audio in seconds, got {text!r}; such as 0.5-1.2:audio")
    start, end, name = found.groups()
    for modality in (*MODALITIES, None):
        if name == modality:
            return Retake((float(start), float(end)), modality)
    raise ConfigError(f"retake must end in :video or :audio, or in neither, got {text!r}")


def check_keyframe_files(keyframes: Sequence[KeyframeFile]) -> None:
    """Refuse keyframes whose file does not exist.

    Raises:
        ReadError: with the file.
    """
    for keyframe in keyframes:
        if not keyframe.path.is_file():
            raise ReadError(f"keyframe at {keyframe.time_s:g} s must be a file that exists, got {keyframe.path}")


def kept_spans(retakes: Sequence[Retake], duration_s: float) -> dict[Modality, tuple[Span, ...] | None]:
    """Return what of a clip stays, by modality: what lies outside of the spans that are made anew; None is all of it.

    Args:
        retakes: of the clip.
        duration_s: of the clip.

    Raises:
        ConfigError: spans that overlap, end before they start or lie outside the clip, or that leave nothing of it.
    """
    kept: dict[Modality, tuple[Span, ...] | None] = dict.fromkeys(MODALITIES)
    for name in MODALITIES:
        spans = [retake.span for retake in retakes if retake.modality in (None, name)]
        if spans:
            check_spans("retake", spans, duration_s)
            kept[name] = spans_outside(spans, duration_s)
    if all(spans == () for spans in kept.values()):
        raise ConfigError(
            f"retake must leave a part of the clip as it is, got {', '.join(map(str, retakes))} of "
            f"{duration_s:.6g} s; without video and retake all of a clip is made"
        )
    return kept


def parse_only(name: str | None) -> frozenset[Modality]:
    """Return what is asked for where `only` names one modality; both where it is None.

    Raises:
        ConfigError: something else.
    """
    if name is None:
        return ALL
    check_choice("only", name, MODALITIES)
    return frozenset(modality for modality in MODALITIES if modality == name)
