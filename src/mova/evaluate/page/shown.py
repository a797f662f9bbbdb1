"""Clips that a report shows: which, and what lies beside the page for them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mova.errors import MediaError
from mova.evaluate.measure.runner import Measured
from mova.evaluate.results.rows import Results
from mova.files.inside import leads_out
from mova.files.replacing import replacing
from mova.scorers.base import Direction, Trace
from mova.scorers.clip_media import ClipMedia

MOST_SHOWN: Final = 48
_FOLDER: Final = "shown"
_RATE: Final = 16_000


@dataclass(frozen=True)
class ShownClip:
    """A clip of a report with what is drawn of it.

    Attributes:
        index: of the clip in the evaluation.
        path: of its file below the report's folder, with slashes; "" where it cannot be played.
        frame_rate: frames per second.
        duration_s: of its video.
        sound: (S,) of its audio at 16 kHz; empty where there is none.
        spectrogram: path of its image below the report's folder; "" where there is none.
        traces: what scorers followed through it.
    """

    index: int
    path: str
    frame_rate: float
    duration_s: float
    sound: np.ndarray
    spectrogram: str
    traces: tuple[Trace, ...]


def choose_shown(results: Results, most: int = MOST_SHOWN) -> tuple[int, ...]:
    """Return which clips a report shows: all of a few, else of each metric the worst and the best.

    Args:
        results: of the evaluation.
        most: how many.
    """
    playable = [index for index, clip in enumerate(results.clips) if clip.path and clip.scores]
    if len(playable) <= most:
        return tuple(playable)
    orders = []
    for row in results.rows:
        known = (index for index in playable if row.name in results.clips[index].scores)
        values = {index: results.clips[index].scores[row.name] for index in known}
        order = sorted(values, key=lambda index: values[index], reverse=row.direction is Direction.LOWER)
        orders += [order, order[::-1]] if order else []
    chosen: dict[int, None] = {}
    for place in range(len(playable)):
        for order in orders:
            if place < len(order) and len(chosen) < most:
                chosen.setdefault(order[place])
    return tuple(sorted(chosen)) or tuple(playable[:most])


def prepare_shown(root: Path, measured: Sequence[Measured], chosen: Sequence[int]) -> Mapping[int, ShownClip]:
    """Put clips and their spectrograms beside the page.

    A clip that lies elsewhere is linked into the report's folder, or copied where that is not possible.

    Args:
        root: folder of the report.
        measured: all clips of the evaluation.
        chosen: of `choose_shown`.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = root / _FOLDER
    folder.mkdir(exist_ok=True)
    found = {}
    for index in chosen:
        item = measured[index].item
        if item.path is not None:
            traces = tuple(trace for one in measured[index].findings.values() for trace in one.traces)
            found[index] = _prepare(root, folder, index, item.path, traces)
    return found


def _prepare(root: Path, folder: Path, index: int, path: Path, traces: tuple[Trace, ...]) -> ShownClip:
    media = ClipMedia(path)
    sound = np.zeros(0, np.float32)
    rate, duration_s = 24.0, 0.0
    with contextlib.suppress(MediaError):
        rate, duration_s = media.frame_rate, media.duration_s
        if media.has_audio:
            sound = media.waveform(_RATE)
    image = ""
    if len(sound):
        image = f"{_FOLDER}/{index:05d}.png"
        _write_spectrogram(root / image, sound)
    return ShownClip(index, _beside(root, folder, index, path), rate, duration_s, sound, image, traces)


def _beside(root: Path, folder: Path, index: int, path: Path) -> str:
    with contextlib.suppress(ValueError):
        inside = path.relative_to(root).as_posix()
        return "" if leads_out(path, root) else inside
    target = folder / f"{index:05d}{path.suffix.lower()}"
    target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        with replacing(target) as partial:
            shutil.copyfile(path, partial)
    return target.relative_to(root).as_posix()


def _write_spectrogram(path: Path, sound: np.ndarray) -> None:
    from PIL import Image

    from mova.pages.timeline import spectrogram

    with replacing(path) as partial:
        Image.fromarray(spectrogram(sound, _RATE)).save(partial, format="png")
