"""What a job is told of an exception: the cause that people can do something about, and nothing of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from errno import EDQUOT, ENOSPC
from typing import Final

from mova.errors import CheckpointError, ConfigError, GeometryError, MovaError, MuxError, NumericalError, ReadError
from mova.files.json_file import shorten_text
from mova.serve.artifacts import DiskFullError
from mova.serve.jobs.records import JobError

_CODES: Final = (
    (DiskFullError, "disk_full"),
    (ReadError, "input_unreadable"),
    (NumericalError, "not_finite"),
    (CheckpointError, "model_unusable"),
    (MuxError, "not_written"),
    (GeometryError, "wrong_order"),
    (ConfigError, "wrong_order"),
)
_PATH: Final = re.compile(r"(?<![\w.])/(?:[\w.@+~-]+/)+")
OUT_OF_MEMORY: Final = JobError("out_of_memory", "Memory ran out; fewer frames or a smaller size need less.")
DISK_FULL: Final = JobError("disk_full", "There is no room on the disk for the clip.")
UNKNOWN: Final = JobError("failed", "The clip could not be made; the log of the server says why.")


def job_error(error: BaseException) -> JobError:
    """Return why a job has failed."""
    causes = list(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in (ENOSPC, EDQUOT) for cause in causes):
        return DISK_FULL
    if any(_is_out_of_memory(cause) for cause in causes):
        return OUT_OF_MEMORY
    for kind, code in _CODES:
        if isinstance(error, kind):
            return JobError(code, without_paths(str(error)))
    return JobError("failed", without_paths(str(error))) if isinstance(error, MovaError) else UNKNOWN


def is_expected(error: BaseException) -> bool:
    """Say whether an error says nothing against the device and the model."""
    return isinstance(error, MovaError | OSError) and not isinstance(error, NumericalError)


def without_paths(text: str) -> str:
    """Return a text with the names of files in place of their paths."""
    return shorten_text(_PATH.sub("", text), 500)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(20):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _is_out_of_memory(error: BaseException) -> bool:
    from mova.plan.free import is_out_of_memory

    return is_out_of_memory(error)
