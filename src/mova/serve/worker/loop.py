"""The loop of a worker: claim, make, deliver; whatever happens in between, the job ends once or is there for others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from mova.database.database import is_failure
from mova.errors import NumericalError, StageError, StateError, StoppedError
from mova.files.unfinished import unfinished
from mova.serve.artifacts import Artifacts
from mova.serve.jobs.records import Job, JobError, JobState, Stop
from mova.serve.jobs.store import JobStore
from mova.serve.worker.faults import is_expected, job_error
from mova.serve.worker.generator import Generator, Made, Task, Watch
from mova.serve.worker.images import preview
from mova.serve.worker.leases import Leases
from mova.serve.worker.progress import Pace
from mova.serve.worker.wake import Wake

if TYPE_CHECKING:
    import numpy as np

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
# Latent frames, of which each stands for several of the clip.
_PREVIEW_S, _PREVIEW_RATE = 1.0, 6.0
_RETRY_S: Final = 0.5
_IMAGES: Final = (("thumbnail", "jpg"), ("waveform", "png"), ("spritesheet", "jpg"))
# A model that has nothing to do is asked now and then whether it still could.
_HEALTH_S: Final = 300.0
INPUT_GONE: Final = JobError("input_gone", "A file that the clip is made from is there no more.")


@dataclass(frozen=True)
class Habits:
    """How a worker works.

    Attributes:
        name: of the worker.
        model: name of its model.
        lease_s: seconds for which a job is its own unless it renews.
        batch: jobs that are made in one run, at most.
        every: steps between two states that are kept.
        poll_s: seconds between two looks at the queue where nobody wakes it.
        scratch: folder for files that are being made.
        refuses: says of a clip's file why it is not shown; None where it is.
    """

    name: str
    model: str
    lease_s: float
    batch: int
    every: int
    poll_s: float
    scratch: Path
    refuses: Callable[[Path], str | None] = lambda _: None


class Worker:
    """Does jobs until it is told to stop.

    Args:
        habits: how it works.
        store: that has the jobs.
        artifacts: that take the files.
        generator: that makes the clips.
        wake: by which it is woken and stopped.
    """

    def __init__(self, habits: Habits, store: JobStore, artifacts: Artifacts, generator: Generator, wake: Wake) -> None:
        self._habits, self._store, self._artifacts = habits, store, artifacts
        self._generator, self._wake = generator, wake
        self._leases = Leases(store, artifacts, habits.name, habits.lease_s)

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Load the model, and do jobs until the end.

        Args:
            on_ready: called once the model is loaded and has computed something.

        Raises:
            MovaError: the model cannot be loaded, or is no longer usable.
        """
        self._leases.start()
        state = "failed"
        try:
            facts = self._generator.load(lambda *_: None)
            self._generator.check_health()
            self._leases.say("idle", **facts)
            on_ready()
            asked_s = time.monotonic()
            while not self._wake.is_over:
                self._wake.clear()
                if self._do_next():
                    asked_s = time.monotonic()
                    continue
                if time.monotonic() - asked_s > _HEALTH_S:
                    self._generator.check_health()
                    asked_s = time.monotonic()
                self._wake.wait(self._habits.poll_s)
            state = "ended"
        finally:
            self._leases.say(state)
            self._leases.close()

    def _do_next(self) -> bool:
        """Do what is next in the queue; return whether there was anything."""
        habits = self._habits
        try:
            jobs = self._store.claim(habits.name, habits.model, habits.lease_s, habits.batch)
        except Exception as error:
            if not is_failure(error):
                raise
            _LOG.warning("the database does not answer: %s", type(error).__name__)
            return False
        if not jobs:
            return False
        self._leases.take(jobs)
        self._leases.say("busy")
        most = self._generator.most_together(jobs[0].order) if len(jobs) > 1 else 1
        for start in range(0, len(jobs), most):
            self._do(jobs[start : start + most])
        self._leases.say("idle")
        return True

    def _do(self, jobs: Sequence[Job]) -> None:
        """Do jobs in one run; every one of them is ended or given back."""
        error: Exception | None = None
        with ExitStack() as stack:
            folder = stack.enter_context(unfinished(self._habits.scratch / jobs[0].id))
            try:
                folder.mkdir(parents=True, exist_ok=True)
                tasks = [self._task(job, folder, stack) for job in jobs]
                for job, task, made in zip(jobs, tasks, self._make(jobs, tasks), strict=True):
                    self._deliver(job, task, made)
            except StoppedError:
                self._give_back(jobs)
            except FileNotFoundError as gone:
                _LOG.warning("an input is gone: %s", gone)
                self._fail(jobs, INPUT_GONE)
            except Exception as problem:
                error = problem
        if error is not None:
            self._after(jobs, error)
        for job in jobs:
            self._leases.drop(job.id)

    def _after(self, jobs: Sequence[Job], error: Exception) -> None:
        """Go on after a run has failed: with each clip alone, or with the next job."""
        if not is_expected(error):
            _LOG.error("clips could not be made: %s", ", ".join(job.id for job in jobs), exc_info=error)
        # One clip of a run that is not finite says nothing of the others.
        if len(jobs) > 1 and (is_expected(error) or isinstance(error, NumericalError)):
            for job in jobs:
                self._do([job])
            return
        self._fail(jobs, job_error(error))
        if not is_expected(error):
            try:
                self._generator.check_health()
            except Exception as unhealthy:
                raise StageError("the model must still compute after a job has failed, and does not") from unhealthy

    def _task(self, job: Job, folder: Path, stack: ExitStack) -> Task:
        inputs = {
            name: stack.enter_context(self._artifacts.local(artifact)) for name, artifact in job.order.inputs.items()
        }
        return Task(job.id, job.order, inputs, folder / f"{job.id}.mp4")

    def _make(self, jobs: Sequence[Job], tasks: Sequence[Task]) -> Sequence[Made]:
        watch = self._watch(jobs)
        try:
            return self._generator.make(tasks, watch)
        except StateError as error:
            _LOG.info("a job begins anew: %s", error)
            return self._generator.make(tasks, self._watch(jobs, resumes=False))

    def _watch(self, jobs: Sequence[Job], *, resumes: bool = True) -> Watch:
        # A state is one of a whole run, and the jobs of a batch may not meet again.
        keeps = len(jobs) == 1
        checkpoint = self._artifacts.checkpoint(jobs[0].id)
        pace, shown_s = Pace(), dict[int, float]()

        def progress(stage: str, done: int, total: int) -> None:
            at = pace.at(stage, done, total)
            for job in jobs:
                self._leases.tell(job.id, at)

        def show(place: int, make: Callable[[], np.ndarray]) -> None:
            now = time.monotonic()
            if now - shown_s.get(place, 0.0) < _PREVIEW_S:
                return
            shown_s[place] = now
            job = jobs[place]
            name = self._artifacts.made_by(job.id, job.attempt, "preview", "webp")
            self._leases.show(job.id, name, preview(make(), _PREVIEW_RATE))

        def is_stopped() -> bool:
            stops = self._leases.stops()
            return self._wake.is_over or all(job.id in stops for job in jobs)

        return Watch(
            on_progress=progress,
            on_preview=show,
            is_stopped=is_stopped,
            resume_from=self._artifacts.read_all(checkpoint) if keeps and resumes and jobs[0].attempt > 1 else None,
            save_state=(lambda state: self._keep(checkpoint, state)) if keeps else None,
            every=self._habits.every,
        )

    def _keep(self, checkpoint: str, state: bytes) -> None:
        try:
            self._artifacts.put(checkpoint, state)
        except Exception:
            # Without it the job costs more when it is interrupted, and is the same.
            _LOG.exception("the state of a job cannot be kept")

    def _deliver(self, job: Job, task: Task, made: Made) -> None:
        """Put the files of a clip where they stay, and end the job."""
        if (reason := self._habits.refuses(task.output)) is not None:
            self._fail([job], JobError("content_policy", reason))
            return
        names = {"video": self._artifacts.made_by(job.id, job.attempt, "video", "mp4")}
        try:
            self._artifacts.put_file(names["video"], task.output)
            images = (made.thumbnail, made.waveform, made.spritesheet)
            for (kind, suffix), content in zip(_IMAGES, images, strict=True):
                if content:
                    names[kind] = self._artifacts.made_by(job.id, job.attempt, kind, suffix)
                    self._artifacts.put(names[kind], content)
        except Exception as error:
            self._remove(names.values())
            if not is_expected(error):
                _LOG.exception("a clip cannot be kept")
            self._fail([job], job_error(error))
            return
        if self._finish(job, names, made):
            self._prune(job, names.values())
        else:
            self._remove(names.values())
            self._give_back([job])

    def _finish(self, job: Job, names: dict[str, str], made: Made) -> bool:
        def finish() -> bool:
            if self._store.finish(job.id, self._habits.name, names, made.facts):
                return True
            # What was committed may have lost its reply.
            found = self._store.get(job.id)
            return found is not None and found.state == JobState.COMPLETED and dict(found.artifacts) == names

        return self._surely(finish, False)

    def _fail(self, jobs: Sequence[Job], error: JobError) -> None:
        for job in jobs:
            if self._surely(partial(self._store.fail, job.id, self._habits.name, error), False):
                self._prune(job)

    def _give_back(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if self._leases.stops().get(job.id) != Stop.LOST:
                self._surely(partial(self._store.release, job.id, self._habits.name), False)
                found = self._surely(partial(self._store.get, job.id), None)
                if found is not None and found.state.is_final:
                    self._prune(job)

    def _surely(self, work: Callable[[], _T], otherwise: _T) -> _T:
        """Do something with the database, which may be away for a while; for as long as the job is ours."""
        deadline = time.monotonic() + 2 * self._habits.lease_s
        while True:
            try:
                return work()
            except Exception as error:
                if not is_failure(error):
                    raise
                if time.monotonic() > deadline:
                    _LOG.error("the database does not answer: a job is left to whoever comes next")
                    return otherwise
            time.sleep(_RETRY_S)

    def _prune(self, job: Job, kept: Collection[str] = ()) -> None:
        """Remove what a job has only while it is made, and what former attempts have left."""
        with suppress(Exception):
            self._artifacts.prune(job.id, kept)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(Exception):
                self._artifacts.delete(name)
