"""The folder of a report: what was measured and how, every clip, and what an interrupted run goes on with.

| file | what it holds |
| --- | --- |
| `run.json` | model, hash of its weights, settings, seed, command, versions, date |
| `clips/0003_keys.mp4` | a generated clip, with its caption and seed |
| `clips/0003_keys.json` | its measures; there when the clip is complete |
| `report.json`, `report.md` | the figures over all clips; there when the run has come to its end |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

from mova.errors import ConfigError, MovaError
from mova.evaluate.toyworld import Scored, ToyworldReport
from mova.files.json_file import read_object, shorten
from mova.files.lock import lock_folder
from mova.media.write import write_clip
from mova.toyworld.render import RenderedClip
from mova.toyworld.score import ClipScore
from mova.types import Clip

RUN_FILE: Final = "run.json"
# What a run may be gone on with all the same: these say where and when it ran, not what it measured.
_FREE: Final = frozenset({"num_clips", "command", "date", "versions", "device"})


class ReportFolder:
    """A report on disk.

    Args:
        folder: folder that `open_report` holds.
        run: what is measured and how, as JSON values.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        self.folder, self.run = folder, dict(run)
        (folder / "clips").mkdir(exist_ok=True)

    def known(self, num_clips: int) -> dict[int, Scored]:
        """Return the clips of this run that are complete, by number; what is damaged is made again."""
        found = {}
        for path in sorted((self.folder / "clips").glob("[0-9]*_*.json")):
            index = int(path.stem.partition("_")[0]) if path.stem.partition("_")[0].isdigit() else num_clips
            if index < num_clips and path.with_suffix(".mp4").is_file():
                clip = _read_known(path)
                if clip is not None:
                    found[index] = clip
        return found

    def add(self, index: int, rendered: RenderedClip, clip: Clip, made: Scored) -> None:
        """Keep a clip and its measures.

        Raises:
            MuxError: the clip cannot be written.
        """
        path = self.folder / "clips" / f"{index:04d}_{rendered.scene.kind}.mp4"
        metadata = {
            "prompt": rendered.caption,
            "seed": str(rendered.scene.seed),
            "model": str(self.run.get("model", "")),
        }
        write_clip(path, clip, metadata=metadata)
        document = {
            "caption": rendered.caption,
            "score": made.score.to_dict(),
            "ceiling": None if made.ceiling is None else made.ceiling.to_dict(),
            **({"parts": [part.to_dict() for part in made.parts]} if made.parts else {}),
        }
        _write(path.with_suffix(".json"), json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))

    def finish(self, report: ToyworldReport) -> None:
        """Write the figures."""
        document = {"run": self.run, **json.loads(report.to_json())}
        _write(self.folder / "report.json", json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        _write(self.folder / "report.md", f"# Toy world report\n\n{_as_list(self.run)}\n{report.to_markdown()}")


@contextmanager
def open_report(folder: Path, run: Mapping[str, object]) -> Iterator[ReportFolder]:
    """Hold a report folder: a new one, or that of the same run, which goes on.

    Args:
        folder: made where it is missing.
        run: what is measured and how: model, hashes, settings, seed and more, as JSON values.

    Raises:
        ConfigError: it cannot be written, another process uses it, or it is that of another run; the text says what
            differs.
    """
    with lock_folder(folder, "report folder"):
        wanted = json.loads(json.dumps(run))
        path = folder / RUN_FILE
        if path.is_file():
            _check_same(folder, read_object(path, error=ConfigError).values, wanted)
        try:
            report = ReportFolder(folder, wanted)
            _write(path, json.dumps(wanted, indent=2, ensure_ascii=False))
        except OSError as error:
            raise ConfigError(f"report must be a folder that can be written, got {folder}: {error.strerror}") from error
        yield report


def _check_same(folder: Path, before: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    keys = sorted((before.keys() | wanted.keys()) - _FREE)
    differing = [key for key in keys if before.get(key) != wanted.get(key)]
    if differing:
        described = "; ".join(
            f"{key} was {shorten(before.get(key))}, got {shorten(wanted.get(key))}" for key in differing[:5]
        )
        raise ConfigError(
            f"report must be a new folder or that of the same run, got {folder}, of which {described}; nearest is "
            f"another folder, such as {folder}_2"
        )


def _read_known(path: Path) -> Scored | None:
    try:
        document = read_object(path, error=ConfigError).values
        ceiling = document["ceiling"]
        parts = tuple(_score(part) for part in document.get("parts", ()))
        return Scored(_score(document["score"]), None if ceiling is None else _score(ceiling), parts)
    except (MovaError, KeyError, TypeError):
        return None


def _score(values: Mapping[str, Any]) -> ClipScore:
    names = {field.name for field in fields(ClipScore)}
    always = {field.name for field in fields(ClipScore) if field.default is MISSING}
    if not always <= set(values) <= names:
        raise TypeError("measures of another version")
    read: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return ClipScore(**read)


def _as_list(run: Mapping[str, Any]) -> str:
    lines = []
    for key, value in run.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"- {key.replace('_', ' ')}: `{text}`")
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text + ("" if text.endswith("\n") else "\n"), encoding="utf-8")
    partial.replace(path)
