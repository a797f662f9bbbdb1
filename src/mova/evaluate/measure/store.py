"""What scorers found, on disk: a line for each clip and scorer, written when it is found."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final, Self

import numpy as np

from mova.errors import ConfigError
from mova.files.json_file import Fields, as_fields, parse_json
from mova.scorers.base import Absence, Findings, Score, Trace

SCORES_FILE: Final = "scores.jsonl"
_MOST_LINE_BYTES: Final = 16 << 20


class ScoreStore:
    """Findings by their keys. Lines are only added; of two with one key the first counts.

    A line that was cut short by a crash is passed over, and so is what is no such line.

    Args:
        folder: of the evaluation, held by this process; None keeps nothing on disk.

    Raises:
        ConfigError: the file cannot be read or written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._known: dict[str, Findings] = {}
        self._file: BinaryIO | None = None
        if folder is None:
            return
        path = folder / SCORES_FILE
        try:
            whole = self._read(path) if path.is_file() else True
            self._file = path.open("ab")
            if not whole:
                self._file.write(b"\n")
        except OSError as error:
            raise ConfigError(f"{path} must be a file that can be read and written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, key: str) -> Findings | None:
        """Return what is known by a key, or None."""
        return self._known.get(key)

    def add(self, key: str, clip: str, scorer: str, findings: Findings) -> None:
        """Keep findings; they are on disk when this returns, but where an endpoint brought no answer, which is asked
        again by the next run.

        Args:
            key: of `MeasurePlan.keys`.
            clip: name of the clip, for readers.
            scorer: whose findings they are.
            findings: of one clip.

        Raises:
            OSError: the disk is full or gone.
        """
        if key in self._known:
            return
        self._known[key] = findings
        passing = any(score.reason.startswith(Absence.NO_ANSWER) for score in findings.scores.values())
        if self._file is not None and not passing:
            entry = {"key": key, "clip": clip, "scorer": scorer, **to_json(findings)}
            self._file.write(json.dumps(entry, ensure_ascii=False, allow_nan=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _read(self, path: Path) -> bool:
        """Read what is known, and return whether the last line has its end."""
        line = b"\n"
        with path.open("rb") as file:
            while line_read := file.readline(_MOST_LINE_BYTES):
                line = line_read
                try:
                    fields = as_fields(parse_json(line, SCORES_FILE, error=ConfigError), SCORES_FILE, error=ConfigError)
                    self._known.setdefault(fields.text("key"), of_json(fields))
                except (ConfigError, ValueError, TypeError, KeyError):
                    continue
        return line.endswith(b"\n")


def read_embeddings(
    folder: Path, wanted: Mapping[str, str], clips: Mapping[str, Mapping[str, float]]
) -> Mapping[str, Mapping[str, np.ndarray]]:
    """Return embeddings that an evaluation has kept, by name and by clip.

    Of clips with the same contents one alone is kept. What was kept of a file that had the name of a clip before is
    known by its other values, and passed over.

    Args:
        folder: of the evaluation.
        wanted: the scorer of each embedding, by the embedding's name.
        clips: values by measure of those that are looked for, by the clip's name.

    Raises:
        ConfigError: the file cannot be read.
    """
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in wanted}
    try:
        with (folder / SCORES_FILE).open("rb") as file:
            while line := file.readline(_MOST_LINE_BYTES):
                try:
                    fields = as_fields(parse_json(line, SCORES_FILE, error=ConfigError), SCORES_FILE, error=ConfigError)
                    clip, scorer = fields.text("clip"), fields.text("scorer")
                    if clip not in clips or scorer not in wanted.values():
                        continue
                    kept = of_json(fields)
                    scores = {name: score.value for name, score in kept.scores.items() if score.value is not None}
                    if any(clips[clip].get(name) != value for name, value in scores.items()):
                        continue
                    for name, vector in kept.embeddings.items():
                        if name in wanted:
                            found[name][clip] = vector
                except (ConfigError, ValueError, TypeError, KeyError):
                    continue
    except OSError as error:
        raise ConfigError(f"{folder / SCORES_FILE} must be a file that can be read: {error.strerror}") from error
    return found


def to_json(findings: Findings) -> Mapping[str, object]:
    """Return findings as JSON values; vectors are base64 of little-endian float32."""
    return {
        "scores": {name: score.value for name, score in findings.scores.items()},
        "reasons": {name: score.reason for name, score in findings.scores.items() if score.reason},
        "tags": list(findings.tags),
        "spans": {name: [list(span) for span in spans] for name, spans in findings.spans.items()},
        "fingerprints": dict(findings.fingerprints),
        "texts": list(findings.texts),
        "embeddings": {name: _packed(vector) for name, vector in findings.embeddings.items()},
        "traces": [
            {"label": one.label, "step_s": one.step_s, "values": _packed(one.values), "marks_s": list(one.marks_s)}
            for one in findings.traces
        ],
    }


def of_json(fields: Fields) -> Findings:
    """Return findings out of JSON values.

    Raises:
        ConfigError, ValueError, TypeError, KeyError: they are none.
    """
    reasons = fields.fields("reasons").values
    scores = {}
    for name, value in fields.fields("scores").values.items():
        scores[name] = Score(None if value is None else float(value), str(reasons.get(name, "")))
    return Findings(
        scores=scores,
        tags=tuple(fields.texts("tags")),
        spans={
            name: tuple((float(start), float(end)) for start, end in spans)
            for name, spans in fields.fields("spans").values.items()
        },
        fingerprints={str(name): str(text) for name, text in fields.fields("fingerprints").values.items()},
        texts=tuple(fields.texts("texts")),
        embeddings={name: _unpacked(text) for name, text in fields.fields("embeddings").values.items()},
        traces=tuple(_trace(as_fields(one, fields.where, error=ConfigError)) for one in fields.list("traces")),
    )


def _trace(fields: Fields) -> Trace:
    return Trace(
        fields.text("label"),
        fields.number("step_s"),
        _unpacked(fields.text("values")),
        tuple(float(mark) for mark in fields.list("marks_s")),
    )


def _packed(vector: np.ndarray) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")
