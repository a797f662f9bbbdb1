"""A long clip into a file: windows are made, decoded and written one by one, and kept until the file is there."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.files.lock import lock_folder
from mova.generate.long.plan import LongPlan
from mova.generate.session import SAMPLING, Clock
from mova.generate.written import COPIED
from mova.pipeline.long.given import MOST_RECORDED

if TYPE_CHECKING:
    from mova.codecs.prompt import CutPrompt
    from mova.generate.long.source import SourceClip
    from mova.generate.media_files import MediaArrays
    from mova.generate.request import GenerateRequest
    from mova.generate.session import Session
    from mova.media.mp4.growing import GrowingClip
    from mova.pipeline.long.run import LongRun
    from mova.pipeline.loop.control import Control
    from mova.pipeline.output import CallCount

_ROOM: Final = 8192
_ROOM_OF_WINDOW: Final = 160
_ROOM_OF_ATTEMPT: Final = 64


@dataclass(frozen=True)
class LongFile:
    """A long clip on disk.

    Attributes:
        metadata: what the file says.
        num_frames: of the file.
        windows: how each was made, as JSON values.
        ended: why it ends before its time, or None.
        cut_prompts: what of the prompts had no effect.
        calls: what was asked of the model.
        kept: how the video of a clip that is gone on from got into the file.
    """

    metadata: Mapping[str, object]
    num_frames: int
    windows: tuple[Mapping[str, object], ...]
    ended: str | None
    cut_prompts: tuple[CutPrompt, ...]
    calls: CallCount
    kept: Mapping[str, str]


def make_long(
    request: GenerateRequest,
    plan: LongPlan,
    record: Mapping[str, object],
    target: Path,
    inputs: MediaArrays,
    session: Session,
    clock: Clock,
    on_note: Callable[[str], None],
    *,
    control: Control | None = None,
    on_window: Callable[[], None] = lambda: None,
) -> LongFile:
    """Make a long clip and write it. What an interrupted command has made before is not made again.

    Args:
        request: checked.
        plan: of its windows.
        record: what the file says of its origin.
        target: the .mp4 file; it appears when it is complete.
        inputs: images of the request.
        session: with the model, loaded where it is not yet.
        clock: told about the stages.
        on_note: told in words what happens besides.
        control: watches the steps, and stops the clip between two of them. What is there stays in `windows_folder`.
        on_window: called when a window is there, and kept.

    Raises:
        MovaError: a file that cannot be written, numbers that are not finite from the first window on.
        StoppedError: the control asked for it.
    """
    from mova.pipeline.long.given import LongInputs, Watch
    from mova.pipeline.long.run import LongRun
    from mova.pipeline.long.store import WindowStore

    pipeline = session.ready(request, clock)
    frames, audio = plan.known_media()
    steps, windows = request.settings.num_inference_steps, len(plan.windows.windows)
    total = steps * (1 if plan.choice.method == "joint" else windows)
    clock.begin(SAMPLING, total)
    asked = LongInputs(
        prompts=plan.prompts,
        negative_prompt=request.negative_prompt,
        image=inputs.get("image"),
        known_frames=frames,
        known_audio=audio,
        before=plan.before,
        seed=request.seed,
        index=request.index,
        method=plan.choice.method,
        retries=request.retries,
        control=control,
    )
    watch = Watch(
        on_step=lambda window, done: clock.move(window * steps + done, total), on_window=lambda _: on_window()
    )
    metadata = dict(record) | session.circumstances()
    folder = windows_folder(target)
    with lock_folder(folder, "folder of windows"):
        store = WindowStore(folder, _identity(metadata, plan, request.retries), on_note)
        run = LongRun(pipeline, request.settings, plan.windows, asked, store=store, watch=watch)
        made = _write(run, plan, metadata, target)
    store.clear()
    return made


def windows_folder(target: Path) -> Path:
    """Return the folder that keeps windows of a clip that is not there yet."""
    return target.with_name(f".{target.stem}.windows")


def _write(run: LongRun, plan: LongPlan, metadata: Mapping[str, object], target: Path) -> LongFile:
    from mova.media.mp4.growing import growing_clip

    clip = plan.windows.clip
    sample_rate = clip.codec.sample_rate
    count = len(plan.windows.windows)
    room = (
        _ROOM + len(json.dumps(dict(metadata)).encode()) + count * (_ROOM_OF_WINDOW + _ROOM_OF_ATTEMPT * MOST_RECORDED)
    )
    with growing_clip(
        target, (clip.height, clip.width), clip.frame_rate, sample_rate=sample_rate, room=room
    ) as growing:
        kept, there = ({}, 0) if plan.source is None else _begin(growing, plan, plan.source, sample_rate)
        for piece in run.pieces():
            growing.add(piece.frames[there:], piece.samples)
            there -= min(there, len(piece.frames))
        windows = tuple(report.record() for report in run.reports)
        own: dict[str, object] = {"windows": list(windows), **({"kept_streams": kept} if kept else {})}
        if run.ended is not None:
            own["ended"] = run.ended
        growing.describe(dict(metadata) | own)
        num_frames = growing.num_frames
    return LongFile(
        metadata=dict(metadata) | own,
        num_frames=num_frames,
        windows=windows,
        ended=run.ended,
        cut_prompts=run.cut_prompts,
        calls=run.calls,
        kept=kept,
    )


def _begin(growing: GrowingClip, plan: LongPlan, source: SourceClip, sample_rate: int) -> tuple[dict[str, str], int]:
    """Write what stands before the windows; return what became of the video, and how many of their frames it holds."""
    begun = growing.begun(source.path)
    if isinstance(begun, str):
        for frames, samples in source.parts(plan.before, sample_rate):
            growing.add(frames, samples)
        return {"video": f"encoded, since {begun}"}, 0
    packets = begun.packets()
    for _, count, samples in source.sounds(plan.before, sample_rate):
        growing.add(samples=samples)
        growing.copy(list(itertools.islice(packets, count)))
    growing.copy(list(packets))
    return {"video": COPIED}, plan.known_frames


def _identity(metadata: Mapping[str, object], plan: LongPlan, retries: int) -> dict[str, str]:
    """Return digests of all that the windows of a clip depend on, by what it is."""
    facts = {**metadata, "frames": [plan.num_frames, plan.before, len(plan.windows.windows)], "retries": retries}
    return {
        name: hashlib.sha256(json.dumps(fact, sort_keys=True, default=str).encode()).hexdigest()[:32]
        for name, fact in facts.items()
    }
