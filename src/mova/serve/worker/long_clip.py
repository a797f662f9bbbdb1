"""Clips of several windows, as `mova generate` makes them; the windows that are there travel with the job's state."""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.errors import StateError, StoppedError
from mova.generate.long.make import make_long, windows_folder
from mova.generate.long.plan import plan_long
from mova.generate.long.source import read_source
from mova.generate.media_files import InputReader
from mova.generate.session import Clock, Session
from mova.serve.worker.generator import Made, Task, Watch
from mova.serve.worker.images import SHEET_TILES, spritesheet, thumbnail, waveform

if TYPE_CHECKING:
    from mova.generate.request import GenerateRequest
    from mova.pipeline.loop.control import Control, SamplingStep

_LOG = logging.getLogger(__name__)
# Windows, what they are of, and the state of those that are made together.
_KEPT: Final = (".safetensors", ".json", ".state")


def make_long_clip(
    session: Session,
    request: GenerateRequest,
    task: Task,
    weights_sha256: str,
    record: Mapping[str, object],
    clock: Clock,
    watch: Watch,
    control: Control,
) -> Made:
    """Make a clip of several windows, and write it.

    Args:
        session: with the model.
        request: of the clip.
        task: that it is made for.
        weights_sha256: fingerprint of the model.
        record: what the file says of its origin.
        clock: told about the stages.
        watch: keeps the windows that are there, and has those of a run that was interrupted.
        control: shows steps, and stops the run between two of them.

    Raises:
        StoppedError: the control asked for it; what is there has been kept.
        StateError: what was kept is no folder of windows.
        MovaError: as of `mova.generate.long.make.make_long`.
    """
    plan = plan_long(request, request.model, weights_sha256, _LOG.info)
    inputs = InputReader(_LOG.info).read(request)
    folder = windows_folder(task.output)
    if watch.resume_from is not None:
        _unpack(watch.resume_from, folder)
    keep = _keeping(folder, watch)
    # A window that is begun is made anew, but for windows that are made together: those keep a state of their own.
    is_joint = plan.choice.method == "joint"
    own = replace(
        control, on_step=_shown(control, keep if is_joint else None, watch.every), resume_from=None, save_state=None
    )
    try:
        made = make_long(
            request, plan, record, task.output, inputs, session, clock, _LOG.info, control=own, on_window=keep
        )
    except StoppedError:
        keep()
        raise
    clip = plan.windows.clip
    facts: dict[str, object] = {
        "metadata": dict(made.metadata),
        "seed": request.seed,
        "num_frames": made.num_frames,
        "frame_rate": clip.frame_rate,
        "height": clip.height,
        "width": clip.width,
        "duration_s": made.num_frames / clip.frame_rate,
        "windows": list(made.windows),
        "ended": made.ended,
    }
    frames, samples = _seen(task.output, made.num_frames, clip.codec.sample_rate)
    return Made(facts, thumbnail(frames), waveform(samples), spritesheet(frames))


def _shown(control: Control, keep: Callable[[], None] | None, every: int) -> Callable[[SamplingStep], None]:
    def show(step: SamplingStep) -> None:
        if control.on_step is not None:
            control.on_step(step)
        if keep is not None and step.done % every == 0:
            keep()

    return show


def _keeping(folder: Path, watch: Watch) -> Callable[[], None]:
    """Return what keeps a folder of windows where it has changed."""
    last: list[tuple[str, int]] = []

    def keep() -> None:
        if watch.save_state is None or not folder.is_dir():
            return
        found = sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir() if file.suffix in _KEPT)
        if found and found != last:
            last[:] = found
            watch.save_state(_packed(folder, [name for name, _ in found]))

    return keep


def _packed(folder: Path, names: list[str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in names:
            archive.add(folder / name, name)
    return written.getvalue()


def _unpack(state: bytes, folder: Path) -> None:
    """Write windows that were kept into their folder.

    Raises:
        StateError: it is something else that was kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(state), mode="r:") as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise StateError(f"a state must be one of windows, and is not: {error}") from error


def _seen(path: Path, num_frames: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames for small images (F, H, W, 3) uint8, from the first to the last, and all samples (1, S)."""
    wanted = {round(place) for place in np.linspace(0, num_frames - 1, min(SHEET_TILES, num_frames))}
    shown, heard, first = [], [], 0
    for frames, samples in read_source(path).parts(num_frames, sample_rate):
        shown += [frames[place - first] for place in sorted(wanted) if first <= place < first + len(frames)]
        heard.append(samples)
        first += len(frames)
    return np.stack(shown), np.concatenate(heard, axis=1)
