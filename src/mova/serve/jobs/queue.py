"""The queue as its owners use it: reorder, hold, edit before start, duplicate, cancel, pause."""

from __future__ import annotations

import secrets
from typing import Final

from mova.database.database import Transaction
from mova.errors import ConfigError
from mova.serve.jobs.claims import CANCELLED, Claims
from mova.serve.jobs.records import NO_PROGRESS, ClipOrder, ConflictError, FullError, Job, JobState
from mova.serve.jobs.rows import OPEN, add_inputs, add_row, haystack, job_of, of_order

_BEFORE_START: Final = "state IN ('queued', 'held') AND NOT is_gone"
_LEAST_GAP: Final = 1e-6


class Queue(Claims):
    """What people ask of jobs that wait."""

    def cancel(self, name: str) -> JobState | None:
        """Cancel a job: at once where it waits, between two steps where it runs.

        Returns:
            The state that it had: `RUNNING` means that it stops soon, a final one that nothing is changed; None where
            there is no such job.
        """
        with self.database.writing() as run:
            for before in (JobState.QUEUED, JobState.HELD):
                where = f"id = :id AND state = '{before}' AND NOT is_gone"
                if self._end(run, name, JobState.CANCELLED, where, error=CANCELLED):
                    return before
            run.run(
                "UPDATE jobs SET is_cancel_asked = :yes WHERE id = :id AND state = 'running' AND NOT is_gone",
                id=name,
                yes=True,
            )
            rows = run.rows("SELECT state FROM jobs WHERE id = :id AND NOT is_gone", id=name)
        return JobState(str(rows[0]["state"])) if rows else None

    def hold(self, name: str) -> None:
        """Keep a job that waits from being begun.

        Raises:
            ConflictError: it does not wait.
        """
        self._change(name, JobState.QUEUED, JobState.HELD)

    def unhold(self, name: str) -> None:
        """Let a job that is held be begun, from its place in the queue.

        Raises:
            ConflictError: it is not held.
        """
        self._change(name, JobState.HELD, JobState.QUEUED)

    def move(self, name: str, before: str | None) -> None:
        """Give a job another place in the queue.

        Args:
            name: of the job.
            before: id of the job that is to come next after it; None moves it to the end.

        Raises:
            ConflictError: one of them does not wait.
        """
        if name == before:
            return
        with self.database.writing() as run:
            self._take_turn(run)
            place = _last_position(run) + 1.0 if before is None else self._between(run, name, before)
            if not run.run(
                f"UPDATE jobs SET position = :place WHERE id = :id AND {_BEFORE_START}", id=name, place=place
            ):
                raise _not_waiting(run, name)

    def edit(self, name: str, order: ClipOrder) -> None:
        """Change what is asked for, before the job is begun.

        Raises:
            ConflictError: it does not wait.
        """
        with self.database.writing() as run:
            columns = of_order(order) | {"haystack": haystack(name, order)}
            sets = ", ".join(f"{column} = :{column}" for column in columns)
            if not run.run(f"UPDATE jobs SET {sets} WHERE id = :id AND {_BEFORE_START}", id=name, **columns):
                raise _not_waiting(run, name)
            run.run("DELETE FROM inputs WHERE job = :id", id=name)
            add_inputs(run, name, order.inputs.values())

    def duplicate(self, name: str, owner: str, most_own: int | None = None) -> Job:
        """Add a job that asks for the same as another, whatever became of that.

        Args:
            name: of the other.
            owner: of the new one.
            most_own: open jobs that this owner may have; None where the limit of the store is its own.

        Raises:
            ConfigError: there is no such job.
            FullError: there are as many open jobs as there may be.
        """
        with self.database.writing() as run:
            self._take_turn(run)
            # So that nobody removes its inputs meanwhile.
            if not run.run("UPDATE jobs SET number = number WHERE id = :id AND NOT is_gone", id=name):
                raise ConfigError("a job that is duplicated must be there, and is not")
            (row,) = run.rows("SELECT * FROM jobs WHERE id = :id", id=name)
            return self._insert(run, [job_of(row).order], owner, most_own=most_own)[0]

    def pause(self) -> None:
        """Begin no further jobs; what runs goes on."""
        self._set_paused("yes")

    def resume(self) -> None:
        """Begin jobs again."""
        self._set_paused("no")

    @property
    def is_paused(self) -> bool:
        """Whether no jobs are begun."""
        with self.database.reading() as run:
            return self._is_paused(run)

    def _insert(
        self,
        run: Transaction,
        orders: list[ClipOrder],
        owner: str,
        remixed_from: str = "",
        *,
        is_held: bool = False,
        most_own: int | None = None,
    ) -> list[Job]:
        """Insert the variants of one request at the end of the queue, where there is room."""
        of_owner = self._limits.of_owner if most_own is None else min(most_own, self._limits.of_owner)
        for is_own, most in ((False, self._limits.of_all), (True, of_owner)):
            where, values = ("owner = :owner AND", {"owner": owner}) if is_own else ("", {})
            found = run.rows(f"SELECT COUNT(*) AS n FROM jobs WHERE {where} state IN {OPEN} AND NOT is_gone", **values)
            if int(found[0]["n"] or 0) + len(orders) > most:
                whose = "of this key" if is_own else "of all"
                raise FullError(
                    f"at most {most} clips {whose} may wait or be made, got {len(orders)} more", is_own=is_own
                )
        now, position, group = self._clock(), _last_position(run), f"group_{secrets.token_hex(16)}"
        for variant, order in enumerate(orders):
            add_row(
                run,
                Job(
                    id=f"video_{secrets.token_hex(16)}",
                    number=0,
                    state=JobState.HELD if is_held else JobState.QUEUED,
                    order=order,
                    owner=owner,
                    position=position + 1.0 + variant,
                    attempt=0,
                    crashes=0,
                    lease_owner="",
                    lease_until_s=0.0,
                    is_cancel_asked=False,
                    progress=NO_PROGRESS,
                    error=None,
                    artifacts={},
                    group=group,
                    variant=variant,
                    remixed_from=remixed_from,
                    created_s=now,
                    started_s=None,
                    completed_s=None,
                    expires_s=None,
                    facts={},
                ),
            )
        return self._of_group(run, group)

    @staticmethod
    def _of_group(run: Transaction, group: str) -> list[Job]:
        rows = run.rows("SELECT * FROM jobs WHERE group_id = :group AND NOT is_gone ORDER BY variant", group=group)
        return [job_of(row) for row in rows]

    @staticmethod
    def _take_turn(run: Transaction) -> None:
        """Wait until no other transaction adds or moves jobs: PostgreSQL lets several write at a time."""
        run.run("UPDATE facts SET value = value WHERE name = 'adding'")

    def _change(self, name: str, before: JobState, after: JobState) -> None:
        with self.database.writing() as run:
            changed = run.run(
                "UPDATE jobs SET state = :after WHERE id = :id AND state = :before AND NOT is_gone",
                id=name,
                before=str(before),
                after=str(after),
            )
            if not changed:
                raise _not_waiting(run, name)

    def _between(self, run: Transaction, name: str, before: str) -> float:
        for _ in range(2):
            # Those that run too: they may come back to their places.
            rows = run.rows(
                f"SELECT id, position, state FROM jobs WHERE state IN {OPEN} AND NOT is_gone AND id <> :id "
                "ORDER BY position, number",
                id=name,
            )
            names = [row["id"] for row in rows if row["state"] != "running" or row["id"] != before]
            if before not in names:
                raise _not_waiting(run, before)
            place = names.index(before)
            after = float(rows[place]["position"] or 0.0)
            ahead = float(rows[place - 1]["position"] or 0.0) if place else after - 2.0
            if after - ahead > _LEAST_GAP:
                return (ahead + after) / 2
            for number, row in enumerate(rows):
                run.run("UPDATE jobs SET position = :place WHERE id = :id", id=row["id"], place=float(number))
        raise AssertionError("places that are one apart have room between them")

    def _set_paused(self, value: str) -> None:
        with self.database.writing() as run:
            run.run("UPDATE facts SET value = :value WHERE name = 'paused'", value=value)


def _last_position(run: Transaction) -> float:
    return float(run.rows("SELECT MAX(position) AS most FROM jobs")[0]["most"] or 0.0)


def _not_waiting(run: Transaction, name: str) -> ConflictError | ConfigError:
    rows = run.rows("SELECT * FROM jobs WHERE id = :id AND NOT is_gone", id=name)
    if not rows:
        return ConfigError("a job must be there, and is not")
    state = job_of(rows[0]).state
    return ConflictError(f"a job must wait for this, got one that is {state}", "wrong_state")
