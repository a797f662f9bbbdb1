"""Replies on disk by what was asked, so that a run that is resumed does not pay twice."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, Protocol

from mova.endpoints.outcomes import SAID_BY_MODEL, Outcome, Reply, Usage
from mova.errors import DataError, StageError
from mova.files.json_file import read_object
from mova.files.unfinished import unfinished

_VERSION: Final = 1


class Cache(Protocol):
    """Where replies are looked up."""

    def get(self, request_sha256: str) -> Reply | None:
        """Return what was replied to a request, or None."""

    def put(self, request_sha256: str, reply: Reply) -> None:
        """Keep a reply, where asking again would bring the same."""


class NoCache:
    """Keeps nothing."""

    def get(self, request_sha256: str) -> None:
        """Return None."""

    def put(self, request_sha256: str, reply: Reply) -> None:
        """Do nothing."""


class FileCache:
    """One small file for each reply.

    Args:
        folder: of all replies; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, request_sha256: str) -> Reply | None:
        """Return what was replied; None too where the file is damaged, which asks again and writes it anew."""
        path = self._path(request_sha256)
        try:
            fields = read_object(path, error=DataError)
            fields.integer("version", least=_VERSION, most=_VERSION)
            usage = Usage(fields.integer("tokens_in"), fields.integer("tokens_out"))
            reply = Reply(
                Outcome(fields.text("outcome")),
                fields.text("text"),
                fields.text("detail"),
                finish_reason=fields.text("finish_reason"),
                usage=usage,
                model=fields.text("model"),
                request_id=fields.text("request_id"),
                prompt_sha256=fields.text("prompt_sha256"),
            )
        except (DataError, ValueError):
            return None
        return replace(reply, cached=True)

    def put(self, request_sha256: str, reply: Reply) -> None:
        """Keep a reply.

        Raises:
            StageError: the folder cannot be written.
        """
        if reply.outcome not in SAID_BY_MODEL:
            return
        kept = ("outcome", "text", "detail", "finish_reason", "model", "request_id", "prompt_sha256")
        content = {"version": _VERSION, **asdict(reply.usage)} | {name: getattr(reply, name) for name in kept}
        path = self._path(request_sha256)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")) as file:
                file.write_bytes(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
                file.replace(path)
        except OSError as problem:
            raise StageError(f"{path} cannot be written: {problem}") from problem

    def _path(self, request_sha256: str) -> Path:
        return self._folder / request_sha256[:2] / f"{request_sha256}.json"


def request_sha256(kind: str, model: str, body: Mapping[str, object]) -> str:
    """Return the digest of a request: the same at whatever address the model is served.

    Args:
        kind: of the call.
        model: that is asked.
        body: all that is sent.
    """
    text = json.dumps([kind, model, body], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
