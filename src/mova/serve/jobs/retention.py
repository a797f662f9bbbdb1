"""The end of jobs: a row that nobody sees any more, its files, and then the row itself, whatever happens in between."""

from __future__ import annotations

from typing import Final, Protocol

from mova.serve.jobs.queue import Queue
from mova.serve.jobs.records import Job
from mova.serve.jobs.rows import job_of

_KEY_S: Final = 24 * 3600.0
_WORKER_S: Final = 3600.0
_DOOMED: Final = "is_gone AND state <> 'running'"


class Files(Protocol):
    """Where the files of jobs are."""

    def delete_job(self, job: str) -> None:
        """Remove what a job has made; nothing where nothing is there."""

    def delete(self, name: str) -> None:
        """Remove a file; nothing where it is not there."""


class Retention(Queue):
    """What removes jobs."""

    def doom(self, name: str, owner: str | None = None) -> bool:
        """Hide a job from everybody, and stop it where it runs; `remove_doomed` does the rest.

        Args:
            name: of the job.
            owner: whose it has to be; None for anybody's.

        Returns:
            Whether there was such a job.
        """
        whose, values = ("", {}) if owner is None else (" AND owner = :owner", {"owner": owner})
        with self.database.writing() as run:
            return bool(
                run.run(
                    f"UPDATE jobs SET is_gone = :yes, is_cancel_asked = :yes WHERE id = :id AND NOT is_gone{whose}",
                    id=name,
                    yes=True,
                    **values,
                )
            )

    def doom_expired(self) -> int:
        """Hide jobs whose time is over; return how many."""
        with self.database.writing() as run:
            return run.run(
                "UPDATE jobs SET is_gone = :yes WHERE expires_s IS NOT NULL AND expires_s <= :now AND NOT is_gone "
                "AND state IN ('completed', 'failed', 'cancelled')",
                yes=True,
                now=self._clock(),
            )

    def remove_doomed(self, files: Files) -> int:
        """Remove the files and rows of jobs that are hidden and run no more.

        Inputs that another job uses stay. Whoever is ended in the middle leaves a hidden row for the next call.

        Returns:
            How many jobs were removed.

        Raises:
            OSError: the files cannot be removed now.
        """
        with self.database.reading() as run:
            jobs = [job_of(row) for row in run.rows(f"SELECT * FROM jobs WHERE {_DOOMED} ORDER BY number LIMIT 1000")]
        return sum(self._remove(job, files) for job in jobs)

    def forget_old(self) -> None:
        """Forget keys of requests and workers that nobody has heard of for long."""
        now = self._clock()
        with self.database.writing() as run:
            run.run("DELETE FROM request_keys WHERE created_s < :before", before=now - _KEY_S)
            run.run("DELETE FROM workers WHERE seen_s < :before", before=now - _WORKER_S)

    def known_files(self) -> tuple[set[str], set[str]]:
        """Return the ids of all jobs, also of hidden ones, and the inputs that they use: what no sweep may remove."""
        with self.database.reading() as run:
            jobs = {str(row["id"]) for row in run.rows("SELECT id FROM jobs")}
            inputs = {str(row["artifact"]) for row in run.rows("SELECT DISTINCT artifact FROM inputs")}
        return jobs, inputs

    def _remove(self, job: Job, files: Files) -> bool:
        files.delete_job(job.id)
        with self.database.writing() as run:
            # Whoever adds a job with these inputs waits for this, or this for him.
            self._take_turn(run)
            if not run.run(f"UPDATE jobs SET number = number WHERE id = :id AND {_DOOMED}", id=job.id):
                return False
            used = run.rows(
                "SELECT artifact FROM inputs i WHERE job = :id AND NOT EXISTS "
                "(SELECT 1 FROM inputs o WHERE o.artifact = i.artifact AND o.job <> :id)",
                id=job.id,
            )
            for row in used:
                files.delete(str(row["artifact"]))
            run.run("DELETE FROM inputs WHERE job = :id", id=job.id)
            return bool(run.run(f"DELETE FROM jobs WHERE id = :id AND {_DOOMED}", id=job.id))
