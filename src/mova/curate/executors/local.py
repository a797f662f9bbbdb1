"""Processes of this machine: each does one unit at a time, and one that is lost costs no other unit anything."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mova.cores import num_cores
from mova.curate.executors.base import OnDone
from mova.curate.stage import Stage
from mova.curate.units import LOST, Manifest, Patience, Task, give_up, perform
from mova.data.workers import SoleWorker

_LOOK_S: Final = 0.5
"""How often the main thread wakes, so that signals are heeded where a wait swallows them."""


@dataclass
class _Worker:
    """A process, the task that it does, and how often that task was begun."""

    pool: SoleWorker
    task: Task | None = None
    attempt: int = 0
    job: Future[Manifest] | None = field(default=None, repr=False)

    def begin(self, task: Task, attempt: int = 1) -> None:
        """Let the process do a task."""
        self.task, self.attempt = task, attempt
        self.job = self.pool.submit(_do, task)

    def rest(self) -> None:
        """Forget the task, which is done."""
        self.task = None


class LocalExecutor:
    """Does units in processes of this machine.

    Args:
        workers: number of processes; 0 takes one per core that the stage's units leave room for.
        patience: how often a unit is begun whose worker ends, and how storage that does not answer is tried again.
    """

    def __init__(self, workers: int = 0, patience: Patience | None = None) -> None:
        self._workers = workers
        self._patience = patience or Patience()

    def run(self, stage: Stage, tasks: Iterable[Task], root: Path, on_done: OnDone) -> None:
        """See `Executor.run`."""
        count = self._workers or max(1, int(num_cores() / max(1.0, stage.needs.cores)))
        waiting = iter(tasks)
        busy: list[_Worker] = []
        idle: list[_Worker] = []
        try:
            while True:
                while len(busy) < count and (task := next(waiting, None)) is not None:
                    worker = idle.pop() if idle else self._hire(stage, root)
                    worker.begin(task)
                    busy.append(worker)
                if not busy:
                    break
                done, _ = wait([w.job for w in busy if w.job is not None], _LOOK_S, FIRST_COMPLETED)
                for worker in [w for w in busy if w.job in done]:
                    busy.remove(worker)
                    follower = self._finish(worker, stage, root, on_done)
                    (idle if follower.task is None else busy).append(follower)
        finally:
            _dismiss([*busy, *idle])

    def close(self) -> None:
        """See `Executor.close`; its processes end with each stage."""

    def _hire(self, stage: Stage, root: Path) -> _Worker:
        return _Worker(SoleWorker(_set_up, (stage, root, self._patience)))

    def _finish(self, worker: _Worker, stage: Stage, root: Path, on_done: OnDone) -> _Worker:
        """Take the result of a worker; return it, or one in its place that has begun the task again."""
        assert worker.job is not None
        assert worker.task is not None
        task, attempt = worker.task, worker.attempt
        worker.rest()
        try:
            manifest = worker.job.result()
        except BrokenProcessPool:
            _dismiss([worker])
            worker = self._hire(stage, root)
            if attempt < self._patience.attempts:
                worker.begin(task, attempt + 1)
                return worker
            manifest = give_up(
                stage,
                task,
                root,
                f"{LOST}: the process that worked on it ended {attempt} times, perhaps for want of memory",
            )
        except BaseException:
            _dismiss([worker])
            raise
        on_done(manifest)
        return worker


@dataclass
class _Job:
    stage: Stage
    root: Path
    patience: Patience


_JOBS: list[_Job] = []


def _set_up(stage: Stage, root: Path, patience: Patience) -> None:
    """Take what all tasks of this process have in common: the stage keeps its models between units."""
    _JOBS[:] = [_Job(stage, root, patience)]


def _do(task: Task) -> Manifest:
    (job,) = _JOBS
    return perform(job.stage, task, job.root, job.patience)


def _dismiss(workers: Iterable[_Worker]) -> None:
    """End processes at once: a unit that is not complete is done again, and nobody waits for it."""
    for worker in workers:
        worker.pool.end_now()
