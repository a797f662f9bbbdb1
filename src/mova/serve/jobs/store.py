"""All that is asked of jobs: added before anybody works on them, found, listed, counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mova.database.database import Transaction, Value
from mova.errors import ConfigError
from mova.serve.jobs.records import ClipOrder, ConflictError, Job, JobState, Page
from mova.serve.jobs.retention import Retention
from mova.serve.jobs.rows import job_of

MOST_VARIANTS: Final = 16
MOST_PER_PAGE: Final = 100


class JobStore(Retention):
    """The jobs of a server, or of several with one database."""

    def add(
        self,
        orders: Sequence[ClipOrder],
        owner: str = "",
        *,
        key: str = "",
        body_sha256: str = "",
        remixed_from: str = "",
        is_held: bool = False,
        most_own: int | None = None,
    ) -> list[Job]:
        """Add the variants of one request. When this returns they are on the disk, and are done sooner or later.

        Args:
            orders: 1 to `MOST_VARIANTS`.
            owner: id of the API key that asks.
            key: under which the same request may come again, of this owner; "" for none.
            body_sha256: what tells whether it is the same request.
            remixed_from: id of the job that is changed.
            is_held: whether they wait until they are let go.
            most_own: open jobs that this owner may have; None where the limit of the store is its own.

        Returns:
            The jobs, in the order of the variants; those of before where the request came before.

        Raises:
            ConfigError: too few or too many.
            ConflictError: another request came with this key, or its jobs were deleted meanwhile.
            FullError: there are as many open jobs as there may be.
        """
        if not 1 <= len(orders) <= MOST_VARIANTS:
            nearest = min(max(len(orders), 1), MOST_VARIANTS)
            raise ConfigError(f"n must be 1 to {MOST_VARIANTS}, got {len(orders)}; nearest is {nearest}")
        with self.database.writing() as run:
            self._take_turn(run)
            if key and (known := self._with_key(run, owner, key, body_sha256)) is not None:
                return known
            jobs = self._insert(run, list(orders), owner, remixed_from, is_held=is_held, most_own=most_own)
            if key:
                run.run(
                    "INSERT INTO request_keys (owner, name, body_sha256, group_id, created_s) "
                    "VALUES (:owner, :key, :digest, :group, :now)",
                    owner=owner,
                    key=key,
                    digest=body_sha256,
                    group=jobs[0].group,
                    now=self._clock(),
                )
        return jobs

    def with_key(self, owner: str, key: str, body_sha256: str) -> list[Job] | None:
        """Return the jobs of a request that came before with this key; None where none came.

        Raises:
            ConflictError: as of `add`.
        """
        with self.database.reading() as run:
            return self._with_key(run, owner, key, body_sha256)

    def get(self, name: str, owner: str | None = None) -> Job | None:
        """Return a job; None where there is none, or none of this owner.

        Args:
            name: its id.
            owner: whose it has to be; None for anybody's.
        """
        with self.database.reading() as run:
            rows = run.rows("SELECT * FROM jobs WHERE id = :id AND NOT is_gone", id=name)
        return job_of(rows[0]) if rows and owner in (None, rows[0]["owner"]) else None

    def group(self, name: str, owner: str | None = None) -> list[Job]:
        """Return the variants of one request, as far as they are there."""
        with self.database.reading() as run:
            return [job for job in self._of_group(run, name) if owner in (None, job.owner)]

    def page(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        is_ascending: bool = False,
        owner: str | None = None,
        search: str = "",
        states: Sequence[JobState] = (),
    ) -> Page:
        """Return some of the jobs, by when they were added.

        Args:
            after: id of the last job of the page before.
            limit: 1 to `MOST_PER_PAGE`.
            is_ascending: the oldest first.
            owner: whose they have to be; None for anybody's.
            search: words that all stand in the id or the prompts, without regard to case.
            states: in one of which they have to be; all where none is named.

        Raises:
            ConfigError: a limit out of its range, or no such job.
        """
        if not 1 <= limit <= MOST_PER_PAGE:
            nearest = min(max(limit, 1), MOST_PER_PAGE)
            raise ConfigError(f"limit must be 1 to {MOST_PER_PAGE}, got {limit}; nearest is {nearest}")
        where, values = _filters(owner, search, states)
        with self.database.reading() as run:
            if after is not None:
                rows = run.rows("SELECT number, owner FROM jobs WHERE id = :id AND NOT is_gone", id=after)
                if not rows or owner not in (None, rows[0]["owner"]):
                    raise ConfigError("after must be the id of a job, got one that is not there")
                where.append(f"number {'>' if is_ascending else '<'} :after")
                values["after"] = rows[0]["number"]
            rows = run.rows(
                f"SELECT * FROM jobs WHERE {' AND '.join(where)} ORDER BY number {'ASC' if is_ascending else 'DESC'} "
                "LIMIT :limit",
                limit=limit + 1,
                **values,
            )
        return Page(tuple(job_of(row) for row in rows[:limit]), len(rows) > limit)

    def queue(self, owner: str | None = None) -> list[Job]:
        """Return the jobs that wait, in the order in which they are begun; held ones stand at their place."""
        where, values = _filters(owner, "", (JobState.QUEUED, JobState.HELD))
        with self.database.reading() as run:
            rows = run.rows(f"SELECT * FROM jobs WHERE {' AND '.join(where)} ORDER BY position, number", **values)
        return [job_of(row) for row in rows]

    def num_ahead(self, job: Job) -> int:
        """Return how many jobs are begun before one that waits."""
        with self.database.reading() as run:
            rows = run.rows(
                "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued' AND NOT is_gone AND model = :model AND "
                "(position < :position OR (position = :position AND number < :number))",
                model=job.order.model,
                position=job.position,
                number=job.number,
            )
        return int(rows[0]["n"] or 0)

    def counts(self, owner: str | None = None) -> dict[JobState, int]:
        """Return how many jobs there are in each state."""
        where, values = _filters(owner, "", ())
        with self.database.reading() as run:
            rows = run.rows(
                f"SELECT state, COUNT(*) AS n FROM jobs WHERE {' AND '.join(where)} GROUP BY state", **values
            )
        found = {JobState(str(row["state"])): int(row["n"] or 0) for row in rows}
        return {state: found.get(state, 0) for state in JobState}

    def _with_key(self, run: Transaction, owner: str, key: str, digest: str) -> list[Job] | None:
        rows = run.rows("SELECT * FROM request_keys WHERE owner = :owner AND name = :key", owner=owner, key=key)
        if not rows:
            return None
        if rows[0]["body_sha256"] != digest:
            raise ConflictError("an Idempotency-Key must stand for one request, got another with it", "key_reused")
        jobs = self._of_group(run, str(rows[0]["group_id"]))
        if not jobs:
            raise ConflictError("an Idempotency-Key must be new where its clips were deleted", "key_gone")
        return jobs


def _filters(owner: str | None, search: str, states: Sequence[JobState]) -> tuple[list[str], dict[str, Value]]:
    where, values = ["NOT is_gone"], dict[str, Value]()
    if owner is not None:
        where.append("owner = :owner")
        values["owner"] = owner
    for number, word in enumerate(search.casefold().replace("\0", " ").split()[:8]):
        where.append(f"haystack LIKE :word{number} ESCAPE '!'")
        escaped = word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        values[f"word{number}"] = f"%{escaped}%"
    if states:
        where.append(f"state IN ({', '.join(repr(str(state)) for state in states)})")
    return where, values
