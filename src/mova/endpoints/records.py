"""A record for every call: one JSON object per line, without media and without secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from mova.errors import DataError, StageError
from mova.files.json_file import as_fields, parse_json

_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)  # not on Windows


@dataclass(frozen=True)
class CallRecord:
    """What is kept of a call.

    Attributes:
        label: what the call was for, for example "visual CLIP_ID".
        kind: "chat", "image" or "transcription".
        host: of the endpoint.
        model: that was asked for.
        prompt_sha256: hexadecimal digest of the instruction.
        request_sha256: hexadecimal digest of the whole request, media included.
        max_tokens: that the reply could have.
        temperature: that was asked for; None where it was left to the endpoint.
        outcome: how it ended.
        finish_reason: as the endpoint says.
        detail: what is known of an outcome that is not "ok".
        status: HTTP status of a call that ended in one; 0 otherwise.
        tokens_in: tokens of the request.
        tokens_out: tokens of the reply.
        attempts: requests that were sent.
        seconds: that the call took.
        request_id: of the endpoint's logs.
        cached: whether the reply was on disk, and nothing was sent.
        at: when it ended, in seconds since 1970.
    """

    label: str
    kind: str
    host: str
    model: str
    prompt_sha256: str
    request_sha256: str
    max_tokens: int
    temperature: float | None
    outcome: str
    finish_reason: str
    detail: str
    status: int
    tokens_in: int
    tokens_out: int
    attempts: int
    seconds: float
    request_id: str
    cached: bool
    at: float


class Records(Protocol):
    """Where records go."""

    def add(self, record: CallRecord) -> None:
        """Keep a record."""


class MemoryRecords:
    """Records that are asked for in the same process.

    Attributes:
        records: in order.
    """

    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def add(self, record: CallRecord) -> None:
        """Keep a record."""
        self.records.append(record)


class FileRecords:
    """Records as lines of a file; several processes may write to it, and each line is there whole or not at all.

    Args:
        path: of the file; its folder is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, record: CallRecord) -> None:
        """Keep a record.

        Raises:
            StageError: the file cannot be written.
        """
        # What a killed process left may lack its end: each record begins with a new line, and blank ones are skipped.
        line = f"\n{json.dumps(asdict(record), ensure_ascii=False, allow_nan=False)}\n".encode("utf-8", "replace")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Through a link that somebody has put there, nothing is written elsewhere.
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK, 0o666)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except OSError as problem:
            raise StageError(f"{self.path} cannot be written: {problem}") from problem


def read_records(path: Path) -> Iterator[CallRecord]:
    """Give the records of a file in order; a line that a killed process left unfinished is skipped."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in filter(str.strip, file):
            try:
                fields = as_fields(parse_json(line, str(path), error=DataError), str(path), error=DataError)
                yield CallRecord(**fields.values)
            except (DataError, TypeError):
                continue
