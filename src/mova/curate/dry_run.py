"""What a run will take, before it begins: hours of footage, clips, calls, tokens and disk; nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Final

from mova.curate.caption.costs import expected_calls
from mova.curate.config.recipe import CurateConfig
from mova.curate.cut.storage import local_path
from mova.curate.folder import OutputFolder
from mova.curate.records import SourceRecord, State
from mova.curate.summary import read_summary
from mova.curate.tables import num_rows
from mova.curate.units import unit_of_source
from mova.errors import DataError
from mova.files.guarded import GuardedProcess, Lost
from mova.files.json_file import shorten
from mova.media.probe import probe
from mova.pages.formats import counted_text

MOST_LOOKED_AT: Final = 200
"""Sources whose length is read; of more, so many are taken as a sample."""
_LIMIT_S: Final = 20.0
_MOST_NAMED: Final = 5
_PAPER: Final = {"cut": 0.8457, "verdicts": 0.2639 / 0.8457}
"""Shares of the duration that stage 1 keeps of footage, and stage 2 of clips (paper, table 1)."""
# Of a clip of 1280x720 at x264's crf 18; an estimate of ours, until a run has clips of its own.
_BYTES_PER_PIXEL: Final = 0.022
_CRF: Final = 18.0


@dataclass(frozen=True)
class DryRun:
    """What a run will take; all but the sources and their bytes are estimates.

    Attributes:
        sources: that the run takes.
        bytes_in: of them.
        looked_at: of them whose length was read.
        unreadable: of these, those that have none, or are not on this machine.
        unreadable_names: of them, the first few.
        hours: of footage.
        shares: what stage 1 keeps of the footage ("cut") and the verdicts of the clips ("verdicts"), 0 to 1.
        measured: whether the shares are those of an earlier run over the same folder; else they are the paper's.
        clips: that stage 1 makes.
        kept: of them after the verdicts.
        calls: of endpoints.
        tokens: of these calls.
        disk_bytes: of clips, and of shards where they are asked for.
        free_bytes: of the disk.
        done: rows of clips that are there already.
    """

    sources: int
    bytes_in: int
    looked_at: int
    unreadable: int
    unreadable_names: Sequence[str]
    hours: float
    shares: Mapping[str, float]
    measured: bool
    clips: int
    kept: int
    calls: int
    tokens: int
    disk_bytes: int
    free_bytes: int
    done: int

    def as_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        of_what = "by this folder's earlier run" if self.measured else "by the paper's rates"
        sampled = f", by a sample of {self.looked_at}" if self.looked_at < self.sources else ""
        shares = f"{100 * self.shares['cut']:.1f} % of the footage, then {100 * self.shares['verdicts']:.1f} % of clips"
        return [
            f"footage: {counted_text(self.sources, 'source')}, {_bytes(self.bytes_in)}, {_time(self.hours)}{sampled}",
            *([self._unreadable()] if self.unreadable else []),
            f"clips expected: about {self.clips} cut, {self.kept} kept ({of_what}: {shares})",
            f"calls of endpoints: {self.calls}, with {self.tokens / 1e6:.2f} million tokens",
            f"disk: {_bytes(self.disk_bytes)}, of {_bytes(self.free_bytes)} that are free",
            *([f"there already: {self.done} clips"] if self.done else []),
        ]

    def _unreadable(self) -> str:
        more = self.unreadable - len(self.unreadable_names)
        named = ", ".join(shorten(name) for name in self.unreadable_names)
        return f"unreadable: {self.unreadable} of {self.looked_at}: {named}{f' and {more} more' if more else ''}"


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.2f} hours"
    return f"{60 * hours:.1f} minutes" if hours >= 1 / 60 else f"{3600 * hours:.1f} seconds"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 10**8 else f"{count / 1e6:.2f} MB"


def plan_curation(config: CurateConfig, sources: Iterable[SourceRecord], limit: int | None = None) -> DryRun:
    """Return what a run of a recipe will take; sources are looked at, and nothing is written.

    Args:
        config: the recipe.
        sources: all that it names.
        limit: as of the run.

    Raises:
        DataError: there is no source.
    """
    found = _Sources(limit)
    for source in sources:
        found.add(source)
    chosen, count, size = found.chosen()
    if not count:
        raise DataError("there must be at least one source to cut, and the recipe's source has none")
    lengths = [_length(source) for source in chosen]
    readable = [length for length in lengths if length]
    unreadable = sorted(source.uri for source, length in zip(chosen, lengths, strict=True) if not length)
    # By bytes: long sources weigh more, whether or not they were looked at.
    looked_bytes = sum(source.size_bytes for source in chosen) or 1
    hours = sum(readable) / 3600 * max(1.0, size / looked_bytes)
    folder = OutputFolder(config.output.folder)
    shares, is_measured = _shares(folder)
    if not config.verdicts.all_gates:
        shares["verdicts"] = 1.0
    clip_s = config.cut.num_frames / config.cut.frame_rate
    clips = round(hours * 3600 * shares["cut"] / clip_s)
    kept = round(clips * shares["verdicts"])
    cost = expected_calls(config.caption, kept, clip_s)
    each = _clip_bytes(config, folder)
    exported = kept if config.export is not None and config.export.shards else 0
    return DryRun(
        sources=count,
        bytes_in=size,
        looked_at=len(chosen),
        unreadable=len(unreadable),
        unreadable_names=unreadable[:_MOST_NAMED],
        hours=hours,
        shares=shares,
        measured=is_measured,
        clips=clips,
        kept=kept,
        calls=cost.calls,
        tokens=cost.tokens,
        disk_bytes=(clips + exported) * each,
        free_bytes=shutil.disk_usage(_nearest(folder.root)).free,
        done=num_rows(folder.clips) if folder.clips.exists() else 0,
    )


class _Sources:
    """Counts sources and keeps a sample of them, the one that a limited run takes first."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._count = self._size = 0
        self._some: list[SourceRecord] = []

    def add(self, source: SourceRecord) -> None:
        self._count += 1
        self._size += source.size_bytes
        self._some.append(source)
        if len(self._some) >= 16 * max(MOST_LOOKED_AT, self._limit or 0):
            self._cut_down()

    def chosen(self) -> tuple[list[SourceRecord], int, int]:
        """Return the sample, and how many sources a run takes with how many bytes."""
        self._cut_down()
        if self._limit is None or self._limit >= self._count:
            return self._some[:MOST_LOOKED_AT], self._count, self._size
        taken = self._some[: self._limit]
        return taken[:MOST_LOOKED_AT], len(taken), sum(source.size_bytes for source in taken)

    def _cut_down(self) -> None:
        most = max(MOST_LOOKED_AT, self._limit or 0)
        self._some = nsmallest(most, self._some, key=lambda source: unit_of_source(source.uri))


_GUARD: Final = GuardedProcess()


def _length(source: SourceRecord) -> float:
    """Return the seconds of a source; 0 where it cannot be read, or is not on this machine."""
    path = local_path(source.uri)
    if path is None or source.state is State.FAILED:
        return 0.0
    found = _GUARD.call(read_length, _LIMIT_S, path)
    return 0.0 if isinstance(found, Lost) else found


def read_length(path: Path) -> float:
    """Return the seconds that a file says it has; 0 where it cannot be read. Runs in a guarded process."""
    from mova.errors import MediaError

    try:
        return probe(path).video.duration_s or 0.0
    except MediaError:
        return 0.0


def _shares(folder: OutputFolder) -> tuple[dict[str, float], bool]:
    """Return what stages keep, measured by an earlier run over the folder where there is one."""
    if not folder.summary.exists():
        return dict(_PAPER), False
    stages = read_summary(folder).fields("stages")
    footage, cut = (stages.fields(name) for name in ("sources", "cut"))
    raw_s, cut_s = footage.number("duration_in_s"), cut.number("duration_kept_s")
    kept_s = stages.fields("verdicts").number("duration_kept_s")
    if not raw_s or not cut_s:
        return dict(_PAPER), False
    return {"cut": min(1.0, cut_s / raw_s), "verdicts": kept_s / cut_s}, True


def _clip_bytes(config: CurateConfig, folder: OutputFolder) -> int:
    """Return the bytes of a clip: those that are there, else by the size of its frames and the quality."""
    sizes = [path.stat().st_size for path, _ in zip(folder.media.rglob("*.mp4"), range(MOST_LOOKED_AT), strict=False)]
    if sizes:
        return sum(sizes) // len(sizes)
    cut = config.cut
    # Six steps of crf halve the size.
    video = cut.width * cut.height * cut.num_frames * _BYTES_PER_PIXEL * 2.0 ** ((_CRF - cut.crf) / 6)
    audio = cut.num_frames / cut.frame_rate * cut.channels * cut.audio_kbps * 125
    return int(video + audio)


def _nearest(folder: Path) -> Path:
    """Return the folder itself or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
