"""Processes that score clips, each one clip at a time: one that crashes or hangs costs a clip's findings and no other.

What a scorer found is handed over before the next one looks at the clip, so that it can be kept at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mova.cores import num_cores
from mova.data.workers import SoleWorker
from mova.errors import MediaError
from mova.scorers.base import Absence, Findings, all_absent
from mova.scorers.clip_media import ClipMedia
from mova.scorers.registry import ScorerSet, ScorerSettings, make_scorers

PATIENCE_S: Final = 3600.0
"""How long one clip may take."""
MOST_PIXELS: Final = 2**31
"""Of a clip, all frames together: what is decoded of a file of a stranger has a bound (8 s in 4K are 1.6e9)."""


@dataclass(frozen=True)
class Job:
    """A clip, and what is still to be found of it.

    Attributes:
        index: of the clip in the evaluation.
        path: its file.
        prompt: what it was made from.
        scorers: names of the scorers.
        columns: what else is known of it.
    """

    index: int
    path: Path
    prompt: str
    scorers: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What one scorer found in the clip of a job."""

    job: Job
    scorer: str
    findings: Findings


def score_job(job: Job, settings: ScorerSettings) -> Iterator[Found]:
    """Yield what each scorer of a job finds; what was decoded for one is there for the next."""
    clip = _Clip(job)
    for name in job.scorers:
        yield clip.score(name, settings)
    clip.let_go()


def share_cores(count: int) -> None:
    """Let this process compute on its share of the cores; fewer threads, where the user wants them, are kept.

    Args:
        count: of processes that compute at the same time.
    """
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), max(1, num_cores() // count)))


class ScoringProcesses:
    """Some processes that score clips.

    Args:
        count: number of processes; 1 scores in this one.
        settings: of the scorers.
        patience_s: how long one clip may take in a process of its own.
    """

    def __init__(self, count: int, settings: ScorerSettings, patience_s: float = PATIENCE_S) -> None:
        self._count, self._settings, self._patience_s = count, settings, patience_s
        self._processes: list[_ScoringProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.end()

    def run(self, jobs: Iterable[Job]) -> Iterator[Found]:
        """Yield what is found, as it is found; jobs are taken when a process is free."""
        if self._count == 1:
            for job in jobs:
                yield from score_job(job, self._settings)
            return
        left = iter(jobs)
        self._processes = [_ScoringProcess(self._count, self._settings, self._patience_s) for _ in range(self._count)]
        busy = [process for process in self._processes if process.take(next(left, None))]
        while busy:
            wait([process.work for process in busy], timeout=min(1.0, self._patience_s), return_when=FIRST_COMPLETED)
            for process in busy:
                if process.is_done:
                    yield from process.give()
                    if process.job is None:
                        process.take(next(left, None))
            busy = [process for process in busy if process.job is not None]


class _Clip:
    """A clip that is looked at by one scorer after the other."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._media = ClipMedia(job.path, job.prompt, job.columns)
        self._trouble = _trouble(self._media)

    def score(self, name: str, settings: ScorerSettings) -> Found:
        scorer = _scorer(name, settings)
        if self._trouble:
            return Found(self.job, name, all_absent(scorer.measures, Absence.FAILED, self._trouble))
        return Found(self.job, name, scorer.score([self._media])[0])

    def let_go(self) -> None:
        self._media.let_go()


class _ScoringProcess:
    """A process, the job that it does, and which scorers of that are still to come."""

    def __init__(self, count: int, settings: ScorerSettings, patience_s: float) -> None:
        self._count, self._settings, self._patience_s = count, settings, patience_s
        self._pool: SoleWorker | None = None
        self.job: Job | None = None
        self.work: Future[Found] = Future()
        self._left: tuple[str, ...] = ()
        self._until_s = 0.0

    def take(self, job: Job | None) -> bool:
        self.job = job
        if job is not None:
            self._left = job.scorers
            self._until_s = time.monotonic() + self._patience_s
            self._begin(job)
        return job is not None

    @property
    def is_done(self) -> bool:
        return self.work.done() or time.monotonic() > self._until_s

    def give(self) -> list[Found]:
        """Return what was found since the last time, and let the next scorer begin where the job has one."""
        assert self.job is not None, "a process that is done had a job"
        job, name = self.job, self._left[0]
        if not self.work.done():
            self.end()
            self.job = None
            return [self._failed(job, one, f"it took longer than {self._patience_s:.0f} s") for one in self._left]
        try:
            found = self.work.result()
        except BrokenProcessPool:
            self.end()
            found = self._failed(job, name, "the process that scored it was ended, by a crash or for want of memory")
        self._left = self._left[1:]
        if self._left:
            self._begin(job)
        else:
            self.job = None
        return [found]

    def end(self) -> None:
        if self._pool is not None:
            self._pool.end_now()
            self._pool = None

    def _begin(self, job: Job) -> None:
        self.work = self._submit(job)
        if self.work.done() and isinstance(self.work.exception(), BrokenProcessPool):
            # It was ended while it waited, which costs nothing.
            self.end()
            self.work = self._submit(job)

    def _submit(self, job: Job) -> Future[Found]:
        self._pool = self._pool or SoleWorker(share_cores, (self._count,))
        return self._pool.submit(_score_next, job, self._left[0], len(self._left) == 1, self._settings)

    def _failed(self, job: Job, name: str, why: str) -> Found:
        return Found(job, name, all_absent(_scorer(name, self._settings).measures, Absence.FAILED, why))


_HELD: Final[list[_Clip]] = []
"""The clip that this process looks at, from one scorer to the next."""


def _score_next(job: Job, name: str, is_last: bool, settings: ScorerSettings) -> Found:
    if not _HELD or _HELD[0].job != job:
        _HELD[:] = [_Clip(job)]
    found = _HELD[0].score(name, settings)
    if is_last:
        _HELD.clear()
    return found


@lru_cache(maxsize=64)
def _scorer(name: str, settings: ScorerSettings) -> ScorerSet:
    return make_scorers([name], settings)


def _trouble(media: ClipMedia) -> str:
    """Return why a clip cannot be looked at, or ""."""
    try:
        height, width = media.info.video.display_size
    except MediaError as error:
        return f"unreadable: {error}"
    if media.num_frames * height * width > MOST_PIXELS:
        return (
            f"a clip may have {MOST_PIXELS:,} pixels in all its frames, got {media.num_frames} frames of "
            f"{width}x{height}; cut it first"
        )
    return ""
