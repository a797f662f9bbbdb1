"""Jobs as rows of the database, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Final

from mova.database.database import Tables, Transaction, Value
from mova.errors import ConfigError
from mova.files.json_file import as_fields, parse_json
from mova.serve.jobs.records import ClipOrder, Job, JobError, JobState, Progress

TABLES: Final = Tables(
    Path(__file__).parent / "migrations", ("0001", "0002"), title="the database of the server", extra="serve"
)
"""Tables of a server's database."""

OPEN: Final = "('queued', 'held', 'running')"
_NEW: Final = (
    *("id", "state", "clip_order", "model", "batch_key", "owner", "haystack", "position", "lease_until_s", "created_s"),
    *("attempt", "crashes", "variant", "lease_owner", "group_id", "remixed_from", "is_cancel_asked", "is_gone"),
    *("stage", "done", "total", "percent", "artifacts", "facts"),
)
_INSERT: Final = f"INSERT INTO jobs ({', '.join(_NEW)}) VALUES ({', '.join(':' + name for name in _NEW)})"


def add_row(run: Transaction, job: Job) -> None:
    """Insert a job, whose number is given by the database, and the inputs that it uses."""
    run.run(
        _INSERT,
        **of_order(job.order),
        **progress_values(job.progress),
        id=job.id,
        state=str(job.state),
        owner=job.owner,
        haystack=haystack(job.id, job.order),
        position=job.position,
        lease_until_s=job.lease_until_s,
        created_s=job.created_s,
        attempt=job.attempt,
        crashes=job.crashes,
        variant=job.variant,
        lease_owner=job.lease_owner,
        group_id=job.group,
        remixed_from=job.remixed_from,
        is_cancel_asked=job.is_cancel_asked,
        is_gone=False,
        artifacts=json.dumps(dict(job.artifacts)),
        facts=json.dumps(dict(job.facts)),
    )
    add_inputs(run, job.id, job.order.inputs.values())


def add_inputs(run: Transaction, job: str, artifacts: Iterable[str]) -> None:
    """Note which artifacts a job uses."""
    run.run_all(
        "INSERT INTO inputs (job, artifact) VALUES (:job, :artifact)",
        [{"job": job, "artifact": name} for name in sorted(set(artifacts))],
    )


def of_order(order: ClipOrder) -> dict[str, Value]:
    """Return the columns that an order decides, but for what is searched."""
    return {"clip_order": order.to_json(), "model": order.model, "batch_key": order.batch_key}


def haystack(name: str, order: ClipOrder) -> str:
    """Return the text in which a job is searched for: its id and its prompts, without regard to case."""
    before = (order.enhancement or {}).get("original", "")
    later = [str(text) for _, text in (order.long or {}).get("prompts_at", [])]
    text = "\n".join((name, order.prompt, order.negative_prompt or "", str(before), *later)).casefold()
    # Neither is text for PostgreSQL.
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def progress_values(progress: Progress) -> dict[str, Value]:
    """Return the columns of a progress, `left_s` aside where it is unknown."""
    values: dict[str, Value] = asdict(progress)
    if values["left_s"] is None:
        del values["left_s"]
    return values


def job_of(row: Mapping[str, Value]) -> Job:
    """Return the job of a row."""
    code = row["error_code"]
    return Job(
        id=str(row["id"]),
        number=_integer(row["number"]),
        state=JobState(str(row["state"])),
        order=_order_of(str(row["clip_order"])),
        owner=str(row["owner"]),
        position=_number(row["position"]),
        attempt=_integer(row["attempt"]),
        crashes=_integer(row["crashes"]),
        lease_owner=str(row["lease_owner"]),
        lease_until_s=_number(row["lease_until_s"]),
        is_cancel_asked=bool(row["is_cancel_asked"]),
        progress=Progress(
            str(row["stage"]),
            _integer(row["done"]),
            _integer(row["total"]),
            _number(row["percent"]),
            _moment(row["left_s"]),
        ),
        error=None if code is None else JobError(str(code), str(row["error_message"])),
        artifacts={name: str(value) for name, value in read_json(row["artifacts"]).items()},
        group=str(row["group_id"]),
        variant=_integer(row["variant"]),
        remixed_from=str(row["remixed_from"]),
        created_s=_number(row["created_s"]),
        started_s=_moment(row["started_s"]),
        completed_s=_moment(row["completed_s"]),
        expires_s=_moment(row["expires_s"]),
        facts=read_json(row["facts"]),
    )


@lru_cache(maxsize=1024)
def _order_of(text: str) -> ClipOrder:
    return ClipOrder.from_json(text)


def read_json(value: Value) -> Mapping[str, object]:
    """Return the object of a column of JSON."""
    return as_fields(parse_json(str(value), "facts", error=ConfigError), "facts", error=ConfigError).values


def _integer(value: Value) -> int:
    return int(value or 0)


def _number(value: Value) -> float:
    return float(value or 0.0)


def _moment(value: Value) -> float | None:
    return None if value is None else float(value)
