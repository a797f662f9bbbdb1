"""The process of a worker: told by the first line of its input what it is to do, woken by the following ones.

It answers on its output: `ready` once its model is loaded. Its end is 0 where it was asked for, the exit code of an
error where it cannot work.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import psutil

from mova.database.database import Database
from mova.errors import ConfigError, MovaError
from mova.serve.access.content import ContentFilter
from mova.serve.artifacts import Artifacts
from mova.serve.jobs.rows import TABLES
from mova.serve.jobs.store import JobStore
from mova.serve.settings import ServeSettings
from mova.serve.worker.generator import Generator
from mova.serve.worker.loop import Habits, Worker
from mova.serve.worker.wake import Wake

MOVA: Final = "mova.serve.worker.mova_generator:make_generator"
STAND_IN: Final = "mova.serve.worker.stand_in:make_stand_in"
_LOG = logging.getLogger(__name__)
# Below what answers requests.
_NICENESS: Final = 5


@dataclass(frozen=True)
class Start:
    """What a worker is told.

    Attributes:
        name: of the worker, see `new_name`.
        settings: of the server, as JSON; they hold no secret.
        generator: `module:function` that makes what makes clips, of (settings, options).
        options: its options, as JSON values.
    """

    name: str
    settings: str
    generator: str = MOVA
    options: Mapping[str, Any] | None = None

    def to_line(self) -> bytes:
        """Return the first line of a worker's input."""
        return json.dumps(asdict(self)).encode() + b"\n"


def open_store(settings: ServeSettings) -> JobStore:
    """Return the jobs of a server, in a database whose tables are of this version.

    Raises:
        ConfigError: the database cannot be reached, or is of a newer version.
    """
    from mova.serve.jobs.records import Limits

    settings.data.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url(), TABLES, wait_s=5.0)
    database.upgrade()
    kept = settings.retention.keep_hours
    return JobStore(
        database,
        time.time,
        Limits(settings.limits.queued, settings.limits.queued),
        max_crashes=settings.worker.crashes,
        keep_s=None if kept is None else 3600.0 * kept,
    )


def main() -> int:
    """Be a worker until the end of standard input; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    # Whatever prints must not print into the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    start = Start(**json.loads(_first_line(sys.stdin.fileno())))
    settings = ServeSettings.from_json(start.settings)
    wake = Wake()
    wake.listen(sys.stdin.buffer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: wake.stop())
    with suppress(OSError):
        os.nice(_NICENESS)
    try:
        worker = _worker(start, settings, wake)
        worker.run(lambda: _say(answers, b"ready\n"))
    except MovaError as error:
        _LOG.error("%s", error)
        _say(answers, json.dumps({"failed": str(error)}).encode() + b"\n")
        return error.exit_code
    except Exception:
        _LOG.exception("the worker ends")
        return 1
    return 0


def _worker(start: Start, settings: ServeSettings, wake: Wake) -> Worker:
    scratch = settings.data / "scratch"
    _sweep(scratch)
    habits = Habits(
        name=start.name,
        model=settings.model_name(),
        lease_s=settings.worker.lease_s,
        batch=settings.worker.batch,
        every=settings.checkpoint_every,
        poll_s=settings.worker.poll_s,
        scratch=scratch / f"{socket.gethostname()}-{os.getpid()}",
        refuses=ContentFilter(settings.content_filter).clip,
    )
    module, _, function = start.generator.partition(":")
    make = cast(
        "Callable[[ServeSettings, Mapping[str, Any]], Generator]", getattr(importlib.import_module(module), function)
    )
    store, artifacts = open_store(settings), Artifacts(settings.artifacts_url())
    return Worker(habits, store, artifacts, make(settings, start.options or {}), wake)


def _sweep(scratch: Path) -> None:
    """Remove what workers of this machine have left that are no more."""
    for folder in scratch.glob(f"{socket.gethostname()}-*"):
        number = folder.name.rpartition("-")[2]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _first_line(number: int) -> bytes:
    """Read a line without a byte of what follows it."""
    line = bytearray()
    while (byte := os.read(number, 1)) not in (b"", b"\n"):
        line += byte
    if not line:
        raise ConfigError("a worker must be told what to do by its standard input, got nothing")
    return bytes(line)


def _say(answers: Any, line: bytes) -> None:
    # Whoever listened may be gone.
    with suppress(OSError):
        answers.write(line)
