"""Which sources there are: a folder that is looked through, or a list; a row for each, in a fixed order."""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mova.curate.config.source import SourceSection
from mova.curate.cut.storage import StorageError, Stored, describe, has_password, local_path, opened, walk
from mova.curate.records import SourceRecord, State
from mova.curate.units import unit_of_source
from mova.errors import ConfigError
from mova.files.inside import leads_out

_URI, _LICENCE = "uri", "licence"
_MOST_COLUMNS: Final = 200
_ENVIRONMENT: Final = "keys belong into the environment (docs/guides/curate.md)"


def list_sources(source: SourceSection, output: Path | None = None) -> Iterator[SourceRecord]:
    """Yield a record of each source: where it is, how large, and what the list says; its bytes are not read.

    `sha256` and `source_id` are filled in by stage 1. What cannot be had has failed already, with the reason.

    Args:
        source: of the recipe.
        output: output folder of the run: where it lies among the footage, its clips are no sources.

    Raises:
        ConfigError: the folder or the list cannot be read, or the list has no column `uri`, names a source twice or
            holds a password.
    """
    if has_password(source.folder or source.list_file or ""):
        key = "folder" if source.folder is not None else "list_file"
        raise ConfigError(f"source.{key} must be a URL without a password, got one with; {_ENVIRONMENT}")
    records = _of_folder(source, output) if source.folder is not None else _of_list(source)
    yield from records


def _of_folder(source: SourceSection, output: Path | None) -> Iterator[SourceRecord]:
    folder = source.folder or ""
    path = local_path(folder)
    if path is None:
        for uri, stored in walk(folder):
            if uri.lower().endswith(source.endings):
                yield SourceRecord("", uri, "", stored.size_bytes, source.licence, version=stored.version)
        return
    if not path.is_dir():
        raise ConfigError(f"source.folder must be a folder, got {folder}, which is none")
    left_out = None if output is None else os.path.realpath(output)
    if os.path.realpath(path) == left_out:
        raise ConfigError(f"output.folder must be another one than source.folder, got {folder} for both")
    unread: list[OSError] = []
    for root, folders, files in os.walk(path, onerror=unread.append):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.realpath(Path(root, name)) != left_out
        )
        wanted = (name for name in sorted(files) if name.lower().endswith(source.endings) and not name.startswith("."))
        # Links to folders are not gone into; what lies behind those that stay inside is found in its own place.
        for name in (*(name for name in folders if Path(root, name).is_symlink()), *wanted):
            file = Path(root, name)
            if leads_out(file, path):
                reason = f"leads_out: a link to {os.path.realpath(file)}, outside of {folder}"
                yield _failed(str(file), reason, source.licence)
            elif name not in folders:
                yield _record(str(file), {}, source)
    for error in unread:
        reason = f"storage: a folder must be readable, got {error.filename}: {error.strerror}"
        yield _failed(str(error.filename), reason, source.licence)


def _of_list(source: SourceSection) -> Iterator[SourceRecord]:
    uri = source.list_file or ""
    base, _, _ = uri.rpartition("/")
    seen: set[bytes] = set()
    for number, row in enumerate(_rows(uri), 1):
        given = row.get(_URI, "").strip()
        if not given:
            raise ConfigError(f"each row of source.list_file must name a {_URI}, got none in row {number} of {uri}")
        if has_password(given):
            raise ConfigError(f"each {_URI} must have no password, got one in row {number} of {uri}; {_ENVIRONMENT}")
        is_whole = "://" in given or Path(given).is_absolute()
        record = _record(given if is_whole or not base else f"{base}/{given}", row, source)
        # Sixteen bytes each: a list may have millions of rows.
        key = uuid.UUID(unit_of_source(record.uri)).bytes
        if key in seen:
            raise ConfigError(
                f"source.list_file must name each source once, got {given} again in row {number} of {uri}"
            )
        seen.add(key)
        yield record


def _record(uri: str, row: Mapping[str, str], source: SourceSection) -> SourceRecord:
    columns = {name: text for name, text in row.items() if name not in {_URI, _LICENCE}}
    licence = row.get(_LICENCE) or source.licence
    try:
        stored = describe(uri)
    except StorageError as error:
        return _failed(uri, f"storage: {error}", licence, columns)
    return _known(uri, stored, licence, columns)


def _failed(uri: str, reason: str, licence: str, columns: Mapping[str, str] | None = None) -> SourceRecord:
    return SourceRecord("", uri, "", 0, licence, columns or {}, state=State.FAILED, reasons=(reason,))


def _known(uri: str, stored: Stored, licence: str, columns: Mapping[str, str]) -> SourceRecord:
    return SourceRecord("", uri, "", stored.size_bytes, licence, columns, version=stored.version)


def _rows(uri: str) -> Iterator[dict[str, str]]:
    kind = Path(uri.partition("?")[0]).suffix.lower()
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
    if kind not in readers:
        raise ConfigError(f"source.list_file must end in .csv, .jsonl or .parquet, got {uri}")
    try:
        yield from readers[kind](uri)
    except (StorageError, ValueError, OSError, csv.Error) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"source.list_file must be a list that can be read, got {uri}: {error}") from error


def _csv_rows(uri: str) -> Iterator[dict[str, str]]:
    with opened(uri) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text)
        _check_columns(reader.fieldnames or (), uri)
        for row in reader:
            yield {str(name): value or "" for name, value in row.items() if isinstance(value, str | None) and name}


def _json_rows(uri: str) -> Iterator[dict[str, str]]:
    with opened(uri) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ConfigError(f"each line of {uri} must be a JSON object, got another value in line {number}")
                _check_columns(tuple(row), uri)
                yield {name: _text(value) for name, value in row.items()}


def _parquet_rows(uri: str) -> Iterator[dict[str, str]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    with opened(uri) as file:
        try:
            table = ParquetFile(file, pre_buffer=False)
            _check_columns(tuple(table.schema_arrow.names), uri)
            for batch in table.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    yield {name: _text(value) for name, value in row.items()}
        except ArrowException as error:
            raise ConfigError(f"source.list_file must be a Parquet file, got {uri}: {error}") from error


def _check_columns(names: Sequence[str], uri: str) -> None:
    if _URI not in names:
        known = ", ".join(str(name)[:40] for name in list(names)[:10]) or "none"
        raise ConfigError(f"source.list_file must have a column {_URI}, got {known} in {uri}")
    if len(names) > _MOST_COLUMNS:
        raise ConfigError(f"source.list_file must have at most {_MOST_COLUMNS} columns, got {len(names)} in {uri}")


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
