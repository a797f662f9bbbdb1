"""Jobs of a worker: claimed with a lease, renewed, ended. Each change is one compare-and-set update.

A worker has a job while the row says that it runs and names the worker. Whoever lost the job changes nothing any more:
no row fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mova.database.database import Database, Transaction, Value
from mova.serve.jobs.records import Job, JobError, JobState, Limits, Progress, Stop
from mova.serve.jobs.rows import job_of, progress_values, read_json

_MINE: Final = "id = :id AND state = 'running' AND lease_owner = :worker"
_NO_LEASE: Final = "lease_owner = '', lease_until_s = 0"
# Among how many of those that wait others are looked for that go with the first.
_WINDOW: Final = 64
CANCELLED: Final = JobError("cancelled", "The clip was cancelled.")


@dataclass(frozen=True)
class WorkerState:
    """What a worker last said of itself.

    Attributes:
        name: of the worker.
        state: `loading`, `idle`, `busy`, `failed` or `ended`.
        seen_s: when, in seconds since 1970.
        facts: model, device and the like.
    """

    name: str
    state: str
    seen_s: float
    facts: Mapping[str, Any]


class Claims:
    """What workers ask of the store.

    Args:
        database: with the tables of `rows.TABLES`.
        clock: gives seconds since 1970.
        limits: of open jobs.
        max_crashes: how often whoever runs a job may be lost before the job is given up.
        keep_s: seconds for which a job and its files are kept once it has ended; None keeps them.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        limits: Limits | None = None,
        *,
        max_crashes: int = 3,
        keep_s: float | None = None,
    ) -> None:
        self.database, self._clock = database, clock
        self._limits, self._max_crashes, self._keep_s = limits or Limits(), max_crashes, keep_s

    def claim(self, worker: str, model: str, lease_s: float, most: int = 1) -> list[Job]:
        """Take the next job of the queue, and those that can be made in one batch with it.

        Args:
            worker: that takes it.
            model: that it has; jobs of others are left alone.
            lease_s: seconds for which the job is its own unless it renews.
            most: jobs of a batch. One that a worker was lost with goes alone.

        Returns:
            The jobs, running; none where nothing waits or the queue is paused.
        """
        with self.database.reading() as run:
            if self._is_paused(run) or not self._waiting(run, model, 1):
                return []
        claimed: list[Mapping[str, Value]] = []
        with self.database.writing() as run:
            if self._is_paused(run):
                return []
            now = self._clock()
            for row in _batch(self._waiting(run, model, _WINDOW), most):
                values = {"id": row["id"], "worker": worker, "until": now + lease_s, "now": now}
                if run.run(
                    "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_owner = :worker, "
                    "lease_until_s = :until, started_s = COALESCE(started_s, :now) "
                    "WHERE id = :id AND state = 'queued' AND NOT is_gone",
                    **values,
                ):
                    claimed += run.rows("SELECT * FROM jobs WHERE id = :id", id=row["id"])
        return [job_of(row) for row in claimed]

    def renew(self, worker: str, lease_s: float, progress: Mapping[str, Progress]) -> dict[str, Stop]:
        """Keep jobs for longer and say how far they are.

        Args:
            worker: that has them.
            lease_s: seconds from now on.
            progress: by id of the job.

        Returns:
            Jobs that are to be given up, and why.
        """
        stops = {}
        with self.database.writing() as run:
            until = self._clock() + lease_s
            for name, one in progress.items():
                sets = ", ".join(f"{column} = :{column}" for column in progress_values(one))
                left = "" if one.left_s is not None else ", left_s = NULL"
                values = {"id": name, "worker": worker, "until": until, **progress_values(one)}
                if not run.run(f"UPDATE jobs SET lease_until_s = :until, {sets}{left} WHERE {_MINE}", **values):
                    stops[name] = Stop.LOST
                elif run.rows("SELECT id FROM jobs WHERE id = :id AND is_cancel_asked", id=name):
                    stops[name] = Stop.CANCELLED
        return stops

    def show(self, name: str, worker: str, artifacts: Mapping[str, str]) -> bool:
        """Keep files that a job has while it runs; return whether the worker has it."""
        with self.database.writing() as run:
            made = json.dumps(dict(artifacts))
            return bool(
                run.run(f"UPDATE jobs SET artifacts = :artifacts WHERE {_MINE}", id=name, worker=worker, artifacts=made)
            )

    def finish(self, name: str, worker: str, artifacts: Mapping[str, str], facts: Mapping[str, object]) -> bool:
        """End a job with its clip.

        Returns:
            Whether it is completed now. If not, it was cancelled or lost: the files are nobody's, and where the worker
            still has the job it has to give it up.
        """
        made = {"artifacts": json.dumps(dict(artifacts)), "facts": json.dumps(dict(facts), default=str)}
        with self.database.writing() as run:
            return self._end(
                run,
                name,
                JobState.COMPLETED,
                f"{_MINE} AND NOT is_cancel_asked",
                sets=", artifacts = :artifacts, facts = :facts, percent = 100, left_s = 0",
                values={"worker": worker, **made},
            )

    def fail(self, name: str, worker: str, error: JobError, facts: Mapping[str, object] | None = None) -> bool:
        """End a job without a clip: failed, or cancelled where that was asked for.

        Returns:
            Whether the worker had it.
        """
        values: dict[str, Value] = {"worker": worker, "facts": json.dumps(dict(facts or {}), default=str)}
        with self.database.writing() as run:
            return self._stopped(run, name, worker) or self._end(
                run, name, JobState.FAILED, _MINE, error=error, sets=", facts = :facts", values=values
            )

    def release(self, name: str, worker: str) -> bool:
        """Give a job back that another worker is to go on with; one that is to be cancelled is cancelled.

        Returns:
            Whether the worker had it.
        """
        with self.database.writing() as run:
            return self._stopped(run, name, worker) or bool(
                run.run(f"UPDATE jobs SET state = 'queued', {_NO_LEASE} WHERE {_MINE}", id=name, worker=worker)
            )

    def lose(self, worker: str) -> list[str]:
        """Take all jobs from a worker that is known to be dead; return their ids."""
        with self.database.writing() as run:
            rows = run.rows("SELECT id, lease_owner FROM jobs WHERE state = 'running' AND lease_owner = :w", w=worker)
            for row in rows:
                self._lost(run, str(row["id"]), worker, "quarantined")
        return [str(row["id"]) for row in rows]

    def expire(self) -> list[str]:
        """Take jobs from workers whose leases have run out; return their ids."""
        now, expired = self._clock(), "state = 'running' AND lease_until_s < :now"
        with self.database.reading() as run:
            if not run.rows(f"SELECT id FROM jobs WHERE {expired}", now=now):
                return []
        with self.database.writing() as run:
            rows = run.rows(f"SELECT id, lease_owner FROM jobs WHERE {expired}", now=now)
            return [
                str(row["id"])
                for row in rows
                if self._lost(run, str(row["id"]), str(row["lease_owner"]), "worker_lost", before=now)
            ]

    def report(self, worker: str, state: str, facts: Mapping[str, object]) -> None:
        """Keep what a worker says of itself."""
        with self.database.writing() as run:
            run.run(
                "INSERT INTO workers (name, state, seen_s, facts) VALUES (:name, :state, :now, :facts) "
                "ON CONFLICT (name) DO UPDATE SET state = :state, seen_s = :now, facts = :facts",
                name=worker,
                state=state,
                now=self._clock(),
                facts=json.dumps(dict(facts), default=str),
            )

    def workers(self) -> list[WorkerState]:
        """Return what workers last said, the latest first."""
        with self.database.reading() as run:
            rows = run.rows("SELECT * FROM workers ORDER BY seen_s DESC, name")
        return [
            WorkerState(str(row["name"]), str(row["state"]), float(row["seen_s"] or 0.0), read_json(row["facts"]))
            for row in rows
        ]

    def _lost(self, run: Transaction, name: str, worker: str, code: str, before: float | None = None) -> bool:
        """Take a job from a worker that is gone: again into the queue, or given up."""
        mine = _MINE if before is None else f"{_MINE} AND lease_until_s < :before"
        values: dict[str, Value] = {"worker": worker} if before is None else {"worker": worker, "before": before}
        error = JobError(code, f"Whoever made this clip was lost {self._max_crashes} times; it is not tried again.")
        if self._end(run, name, JobState.CANCELLED, f"{mine} AND is_cancel_asked", error=CANCELLED, values=values):
            return True
        counted, last = ", crashes = crashes + 1", f"{mine} AND crashes + 1 >= :most"
        most: dict[str, Value] = {**values, "most": self._max_crashes}
        if self._end(run, name, JobState.FAILED, last, error=error, sets=counted, values=most):
            return True
        again = f"UPDATE jobs SET state = 'queued'{counted}, {_NO_LEASE} WHERE {mine}"
        return bool(run.run(again, id=name, **values))

    def _stopped(self, run: Transaction, name: str, worker: str) -> bool:
        return self._end(
            run, name, JobState.CANCELLED, f"{_MINE} AND is_cancel_asked", error=CANCELLED, values={"worker": worker}
        )

    def _end(
        self,
        run: Transaction,
        name: str,
        state: JobState,
        where: str,
        *,
        error: JobError | None = None,
        sets: str = "",
        values: Mapping[str, Value] | None = None,
    ) -> bool:
        """Bring a job into a final state where it is as expected."""
        now = self._clock()
        if state != JobState.COMPLETED:
            # What it had while it ran.
            sets += ", artifacts = '{}'"
        return bool(
            run.run(
                f"UPDATE jobs SET state = :state, {_NO_LEASE}, completed_s = :now, expires_s = :expires, "
                f"error_code = :code, error_message = :message{sets} WHERE {where}",
                id=name,
                state=str(state),
                now=now,
                expires=None if self._keep_s is None else now + self._keep_s,
                code=None if error is None else error.code,
                message=None if error is None else error.message,
                **(values or {}),
            )
        )

    @staticmethod
    def _is_paused(run: Transaction) -> bool:
        return run.rows("SELECT value FROM facts WHERE name = 'paused'")[0]["value"] == "yes"

    @staticmethod
    def _waiting(run: Transaction, model: str, most: int) -> Sequence[Mapping[str, Any]]:
        return run.rows(
            "SELECT id, batch_key, crashes FROM jobs WHERE state = 'queued' AND model = :model AND NOT is_gone "
            "ORDER BY position, number LIMIT :most",
            model=model,
            most=most,
        )


def _batch(waiting: Sequence[Mapping[str, Any]], most: int) -> Sequence[Mapping[str, Any]]:
    """Return the first that waits, and others that go with it."""
    if not waiting or not waiting[0]["batch_key"] or waiting[0]["crashes"]:
        return waiting[:1]
    fitting = [one for one in waiting if one["batch_key"] == waiting[0]["batch_key"] and not one["crashes"]]
    return fitting[:most]
